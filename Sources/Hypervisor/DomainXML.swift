/// libvirt's description of a machine (libvirt.org/formatdomain.html). Pure: the same configuration gives the same text.
public enum DomainXML {
    /// Between accelerators exactly two things differ: the domain's type and the CPU model.
    /// - Parameter name: the domain's, not the sandbox's: libvirt builds the paths of its sockets from it
    ///   (`ROOT/lib/qemu/domain-1-NAME/monitor.sock`), and a short one leaves room for the root.
    public static func render(_ configuration: MachineConfiguration, name: String = "vm") -> String {
        domain(configuration, name).render()
    }

    private static func domain(_ machine: MachineConfiguration, _ name: String) -> XMLElement {
        XMLElement(
            "domain",
            [
                "type": machine.accelerator == .kvm ? "kvm" : "qemu",
                "xmlns:qemu": "http://libvirt.org/schemas/domain/qemu/1.0",
            ],
            [
                XMLElement("name", text: name),
                XMLElement("title", text: singleLine(machine.name)),
                XMLElement("memory", ["unit": "b"], text: String(machine.memoryInBytes)),
                XMLElement("vcpu", text: String(machine.vcpus)),
                // vhost-user: our process maps the guest's memory by descriptor.
                XMLElement(
                    "memoryBacking", [:],
                    [XMLElement("source", ["type": "memfd"]), XMLElement("access", ["mode": "shared"])]),
                XMLElement("os", [:], boot(machine)),
                XMLElement(
                    "features", [:],
                    [
                        XMLElement("acpi"), XMLElement("vmport", ["state": "off"]),
                        XMLElement("smm", ["state": "off"]),
                    ]),
                processor(machine),
                XMLElement(
                    "clock", ["offset": "utc"], [XMLElement("timer", ["name": "hpet", "present": "no"])]),
                XMLElement("on_poweroff", text: "destroy"),
                XMLElement("on_reboot", text: "destroy"),
                XMLElement("on_crash", text: "destroy"),
                XMLElement("devices", [:], devices(machine)),
                XMLElement("qemu:commandline", [:], commandLine(machine)),
                // About 400 round trips to QEMU at each start, 250 ms, to learn CPU features that nothing here asks for.
                XMLElement(
                    "qemu:capabilities", [:], [XMLElement("qemu:del", ["capability": "cpu-unavailable-features"])]),
            ])
    }

    private static func boot(_ machine: MachineConfiguration) -> [XMLElement] {
        let loader = machine.firmware.map { XMLElement("loader", ["readonly": "yes", "type": "rom"], text: $0) }
        return [XMLElement("type", ["arch": "x86_64", "machine": "q35"], text: "hvm")] + (loader.map { [$0] } ?? []) + [
            XMLElement("kernel", text: machine.kernel), XMLElement("initrd", text: machine.initramfs),
            XMLElement("cmdline", text: machine.commandLine),
        ]
    }

    private static func processor(_ machine: MachineConfiguration) -> XMLElement {
        let without = { (features: [String]) in
            features.map { XMLElement("feature", ["policy": "disable", "name": $0]) }
        }
        switch machine.accelerator {
        case .kvm:
            let features = without(machine.hiddenProcessorFeatures)
            return XMLElement("cpu", ["mode": "host-passthrough", "check": "none"], features)
        case .emulation:
            // Told of fast `rep movsb`, the guest's kernel copies by it, which QEMU translates into a byte at a time: without,
            // a stream through vsock is 2 to 2.6 times as fast. Models with fewer features boot slower.
            return XMLElement("cpu", ["mode": "maximum", "check": "none"], without(["erms", "fsrm"]))
        }
    }

    private static func devices(_ machine: MachineConfiguration) -> [XMLElement] {
        var devices = [XMLElement("emulator", text: machine.emulatorPath)]
        devices.append(XMLElement("controller", ["type": "usb", "model": "none"]))
        if machine.pluggable {
            // One bridge for all disks. libvirt wants a root port before it; a root port for each would cost more.
            for (index, model, address) in [
                ("1", "pcie-root-port", MachineConfiguration.rootPortAddress),
                ("2", "pcie-to-pci-bridge", MachineConfiguration.bridgeAddress),
            ] {
                devices.append(
                    XMLElement("controller", ["type": "pci", "index": index, "model": model], [pci(address)]))
            }
        }
        if machine.balloon {
            devices.append(
                XMLElement(
                    "memballoon", ["model": "virtio", "freePageReporting": "on"],
                    [pci(machine.balloonAddress)]))
        } else {
            devices.append(XMLElement("memballoon", ["model": "none"]))
        }
        devices.append(
            XMLElement(
                "controller", ["type": "virtio-serial", "index": "0", "ports": "1"],
                [pci(machine.consoleAddress)]))
        if let serial = machine.serialLog {
            devices.append(
                XMLElement(
                    "serial", ["type": "file"],
                    [
                        XMLElement("source", ["path": serial, "append": "on"]),
                        XMLElement("target", ["type": "isa-serial", "port": "0"]),
                    ]))
        }
        devices.append(
            XMLElement(
                "console", ["type": "file"],
                [
                    XMLElement("source", ["path": machine.consoleLog, "append": "on"]),
                    XMLElement("target", ["type": "virtio"]),
                ]))
        if let share = machine.share { devices.append(share.element(pci(MachineConfiguration.shareAddress))) }
        for (index, disk) in machine.disks.enumerated() {
            devices.append(element(disk, target: diskName(index), address: machine.address(ofDisk: index)))
        }
        for (index, card) in machine.networkCards.enumerated() {
            devices.append(card.element(pci(machine.address(ofNetworkCard: index))))
        }
        return devices
    }

    /// A disk to be plugged in, at a port that is free.
    static func render(_ disk: Disk, port: Int) -> String {
        let address = MachineConfiguration.address(ofPort: port)
        var element = element(disk, target: diskName(MachineConfiguration.mostDisks + port), address: address)
        // On a conventional bus it would otherwise also be what virtio was before version 1, which takes I/O ports.
        element.attributes.append(("model", "virtio-non-transitional"))
        element.append(XMLElement("alias", ["name": alias(disk)]))
        return element.render()
    }

    /// libvirt leaves names that begin like this to its users.
    static func alias(_ disk: Disk) -> String { "ua-\(disk.serial)" }

    private static func element(
        _ disk: Disk, target: String, address: MachineConfiguration.Address
    ) -> XMLElement {
        let format = disk.descriptor == nil ? "raw" : "vmdk"
        // The host's page cache, on purpose: it holds a layer once for all sandboxes. Errors go to the guest, by whose own
        // error its program learns of a full host disk; by default QEMU stops the guest, which then never ends.
        var driver: KeyValuePairs<String, String> {
            disk.readOnly
                ? ["name": "qemu", "type": format, "cache": "writeback", "io": "threads", "error_policy": "report"]
                : [
                    "name": "qemu", "type": "raw", "cache": "writeback", "io": "threads", "error_policy": "report",
                    "discard": "unmap", "detect_zeroes": "off",
                ]
        }
        var children = [
            XMLElement("driver", driver),
            XMLElement("source", disk.isDevice ? ["dev": disk.path] : ["file": disk.descriptor ?? disk.path]),
            XMLElement("target", ["dev": target, "bus": "virtio"]),
        ]
        // libvirt looks into a file of another format than raw for one below it, unless it is told that there is none.
        if disk.descriptor != nil { children.append(XMLElement("backingStore")) }
        if !disk.serial.isEmpty { children.append(XMLElement("serial", text: disk.serial)) }
        if disk.readOnly { children += [XMLElement("readonly")] }
        children.append(pci(address))
        return XMLElement("disk", ["type": disk.isDevice ? "block" : "file", "device": "disk"], children)
    }

    /// What libvirt 9.0 has no element for.
    private static func commandLine(_ machine: MachineConfiguration) -> [XMLElement] {
        guard let socket = machine.vsockSocket else { return [] }
        let slot = MachineConfiguration.vsockSlot
        return [
            "-chardev", "socket,id=vsock,path=\(escapedOption(socket))",
            "-device", "vhost-user-vsock-pci,id=vsock0,chardev=vsock,bus=pcie.0,addr=\(hexadecimal(slot))",
        ].map { XMLElement("qemu:arg", ["value": $0]) }
    }

    private static func pci(_ address: MachineConfiguration.Address) -> XMLElement {
        var element = XMLElement(
            "address",
            [
                "type": "pci", "domain": "0x0000", "bus": hexadecimal(address.bus),
                "slot": hexadecimal(address.slot), "function": hexadecimal(address.function),
            ])
        if address.multifunction { element.attributes.append(("multifunction", "on")) }
        return element
    }

    private static func hexadecimal(_ value: Int) -> String { "0x" + String(value, radix: 16) }

    /// `vda` … `vdz`, `vdaa`, …
    static func diskName(_ index: Int) -> String {
        var letters = ""
        var rest = index + 1
        while rest > 0 {
            rest -= 1
            letters = String(UnicodeScalar(UInt8(97 + rest % 26))) + letters
            rest /= 26
        }
        return "vd" + letters
    }

    /// A comma ends a QEMU option's value unless it is doubled.
    static func escapedOption(_ value: String) -> String {
        var result = ""
        for character in value { result += character == "," ? ",," : String(character) }
        return result
    }

    private static func singleLine(_ text: String) -> String {
        String(text.map { $0.isNewline ? " " : $0 })
    }
}
