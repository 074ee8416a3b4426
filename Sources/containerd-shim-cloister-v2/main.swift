import ContainerdShim

Shim.main()
