import Acceleration

// The choice is a room of its own, so that the command can make it without loading libvirt: that costs a process 10 ms
// and 2 MB.
public typealias Accelerator = Acceleration.Accelerator
public typealias AcceleratorChoice = Acceleration.AcceleratorChoice
