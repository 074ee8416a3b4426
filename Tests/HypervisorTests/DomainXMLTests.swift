import Testing

@testable import Hypervisor

@Suite struct DomainXMLTests {
    private func configuration(
        _ accelerator: Accelerator = .emulation, disks: Int = 0,
        _ change: (inout MachineConfiguration) -> Void = { _ in }
    ) -> MachineConfiguration {
        var configuration = MachineConfiguration(
            name: "web", accelerator: accelerator, memoryInBytes: 134_217_728, vcpus: 2, kernel: "/k", initramfs: "/i",
            commandLine: "quiet",
            disks: (0..<disks).map { Disk(path: "/d/\($0)", readOnly: $0 > 0, serial: "layer-\($0)") },
            vsockSocket: "/s/vsock", consoleLog: "/s/console")
        change(&configuration)
        return configuration
    }

    @Test func acceleratorsDifferInTypeAndProcessorOnly() {
        let kvm = DomainXML.render(configuration(.kvm, disks: 40)).split(separator: "\n")
        let emulation = DomainXML.render(configuration(.emulation, disks: 40)).split(separator: "\n")
        #expect(kvm.filter { $0.contains("<domain ") }.map { $0.contains("type='kvm'") } == [true])
        #expect(emulation.filter { $0.contains("<domain ") }.map { $0.contains("type='qemu'") } == [true])
        // The processor's features are part of its model.
        let rest = { (lines: [Substring]) in withoutProcessor(lines).filter { !$0.contains("<domain ") } }
        #expect(rest(kvm) == rest(emulation))
        #expect(rest(kvm).count > 300)
        #expect(kvm.contains { $0.contains("<cpu mode='host-passthrough'") })
        #expect(!kvm.contains { $0.contains("qemu'") && $0.contains("type=") && $0.contains("<domain") })
        #expect(emulation.contains { $0.contains("<cpu mode='maximum'") })
    }

    /// What a machine has, and has not.
    @Test(arguments: [
        ("q35", "machine='q35'", true), ("shared memory, for vhost-user", "<source type='memfd'/>", true),
        ("no USB", "<controller type='usb' model='none'/>", true), ("no balloon", "<memballoon model='none'/>", true),
        ("no graphics", "<graphics", false), ("no video", "<video", false), ("no network", "<interface", false),
        ("ends at power off", "<on_poweroff>destroy</on_poweroff>", true),
        ("ends at reboot", "<on_reboot>destroy</on_reboot>", true),
        ("ends at panic", "<on_crash>destroy</on_crash>", true),
        ("console", "<source path='/s/console' append='on'/>", true), ("no serial port", "<serial type=", false),
        ("vsock", "<qemu:arg value='socket,id=vsock,path=/s/vsock'/>", true),
        ("no 400 questions about the processor", "<qemu:del capability='cpu-unavailable-features'/>", true),
    ])
    func has(_ name: String, _ text: String, _ expected: Bool) {
        #expect(DomainXML.render(configuration(disks: 2)).contains(text) == expected, "\(name)")
    }

    @Test func optionalDevices() {
        let xml = DomainXML.render(
            configuration {
                $0.balloon = true
                $0.firmware = "/f"
                $0.serialLog = "/s/serial"
                $0.vsockSocket = nil
            })
        #expect(xml.contains("<memballoon model='virtio' freePageReporting='on'>"))
        #expect(xml.contains("<source path='/s/serial' append='on'/>"))
        #expect(xml.contains("<loader readonly='yes' type='rom'>/f</loader>"))
        #expect(!xml.contains("vsock"))
        #expect(!DomainXML.render(configuration { $0.firmware = nil }).contains("<loader"))
    }

    @Test func aShare() {
        let machine = configuration { $0.share = Share(socket: "/s/files", tag: "tag") }
        let device = DomainXML.render(machine).components(between: "<filesystem type='mount'>", and: "</filesystem>")
        #expect(device.count == 1)
        for part in ["<driver type='virtiofs'/>", "<source socket='/s/files'/>", "<target dir='tag'/>"] {
            #expect(device.allSatisfy { $0.contains(part) })
        }
        #expect(!DomainXML.render(configuration()).contains("<filesystem"))
    }

    /// A bridge, with what the guest finds behind it at boot.
    @Test func portsForDisks() {
        let machine = configuration(disks: 2) {
            $0.pluggable = true
            $0.balloon = true
            $0.share = Share(socket: "/s/files", tag: "tag")
        }
        let xml = DomainXML.render(machine)
        #expect(
            xml.components(between: "<controller type='pci' index='", and: "'>")
                == ["1' model='pcie-root-port", "2' model='pcie-to-pci-bridge"])
        let balloon = xml.components(
            between: "<memballoon model='virtio' freePageReporting='on'>", and: "</memballoon>")
        #expect(balloon.count == 1 && balloon.allSatisfy { $0.contains("bus='0x2' slot='0x1f' function='0x0'") })
        #expect(MachineConfiguration.rootPortAddress != MachineConfiguration.shareAddress)
        let ports = (0..<MachineConfiguration.mostPluggedDisks).map { MachineConfiguration.address(ofPort: $0) }
        for place in ports + [machine.balloonAddress] {
            #expect(place.bus == 2 && (1...31).contains(place.slot) && place.function == 0)
        }
        #expect(Set(ports.map(\.slot) + [machine.balloonAddress.slot]).count == 31)
        // Nothing of it where nobody asks.
        #expect(!DomainXML.render(configuration(disks: 2)).contains("type='pci' index"))
        #expect(!DomainXML.render(configuration(disks: 2)).contains("bus='0x2'"))
    }

    @Test func aDiskToBePluggedIn() {
        let disk = Disk(path: "/d/<x>", readOnly: true, serial: "host-7", isDevice: true)
        let xml = DomainXML.render(disk, port: 4)
        #expect(xml.hasPrefix("<disk type='block' device='disk' model='virtio-non-transitional'>"))
        for part in [
            "<source dev='/d/&lt;x&gt;'/>", "<serial>host-7</serial>", "<readonly/>", "<alias name='ua-host-7'/>",
            "bus='0x2' slot='0x5' function='0x0'",
        ] { #expect(xml.contains(part)) }
        // Names that no disk from the start has.
        let names = (0..<MachineConfiguration.mostPluggedDisks).map {
            DomainXML.render(disk, port: $0).components(between: "<target dev='", and: "'").first
        }
        let first = Set((0..<MachineConfiguration.mostDisks).map { DomainXML.diskName($0) })
        #expect(Set(names).count == names.count && names.allSatisfy { $0.map { !first.contains($0) } == true })
    }

    /// Each on a tap of its own in this process's network namespace, without the host's vhost-net and without a boot ROM.
    @Test func networkCards() {
        let machine = configuration {
            $0.networkCards = (1...MachineConfiguration.mostNetworkCards).map {
                NetworkCard(hardwareAddress: "02:00:00:00:00:0\($0)", tap: "t<\($0)")
            }
        }
        let cards = DomainXML.render(machine).components(between: "<interface type='ethernet'>", and: "</interface>")
        #expect(cards.count == MachineConfiguration.mostNetworkCards)
        #expect(cards[2].contains("<mac address='02:00:00:00:00:03'/>") && cards[2].contains("<target dev='t&lt;3'/>"))
        for card in cards { #expect(card.contains("<driver name='qemu'/>") && card.contains("<rom enabled='no'/>")) }
        let places = machine.networkCards.indices.map { machine.address(ofNetworkCard: $0) } + [machine.consoleAddress]
        #expect(Set(places.map { $0.slot * 8 + $0.function }).count == places.count)
        #expect(places.allSatisfy { $0.slot == machine.consoleAddress.slot && $0.function < 8 })
        #expect(places.filter(\.multifunction) == [machine.consoleAddress] && machine.consoleAddress.function == 0)
        #expect(!configuration().consoleAddress.multifunction)
    }

    @Test func readOnlyAndWritableDisks() {
        let disks = DomainXML.render(configuration(disks: 2)).components(between: "<disk ", and: "</disk>")
        #expect(disks.count == 2)
        #expect(!disks[0].contains("<readonly/>") && disks[0].contains("discard='unmap'"))
        #expect(disks.allSatisfy { $0.contains("error_policy='report'") })
        #expect(disks[1].contains("<readonly/>") && !disks[1].contains("discard"))
        for disk in disks { #expect(disk.contains("type='raw'") && disk.contains("bus='virtio'")) }
        #expect(disks[1].contains("<serial>layer-1</serial>") && disks[1].contains("dev='vdb'"))
    }

    /// Where libvirt would look for a file below another, it is told that there is none.
    @Test func aDiskOfSeveralFiles() {
        var machine = configuration(disks: 3)
        machine.disks[1].furtherPaths = ["/d/x", "/d/y"]
        machine.disks[1].descriptor = "/s/joined.vmdk"
        let disks = DomainXML.render(machine).components(between: "<disk ", and: "</disk>")
        #expect(disks[1].contains("type='vmdk'") && disks[1].contains("<source file='/s/joined.vmdk'/>"))
        #expect(disks[1].contains("<readonly/>") && disks[1].contains("<serial>layer-1</serial>"))
        #expect(disks.map { $0.contains("<backingStore/>") } == [false, true, false])
        #expect(disks[2].contains("type='raw'"))
    }

    @Test func whatTellsQEMUOfSeveralFiles() {
        let lines = JoinedFiles.descriptor([("a", 8), ("b", 4_194_304)]).split(separator: "\n")
        #expect(lines.first == "# Disk DescriptorFile")
        #expect(lines.suffix(2) == ["RW 8 FLAT \"a\" 0", "RW 4194304 FLAT \"b\" 0"])
    }

    @Test func filesElsewhere() {
        var machine = configuration(disks: 2)
        machine.disks[1].furtherPaths = ["/d/x", "/d/y"]
        #expect(machine.files == ["/k", "/i", "/d/0", "/d/1", "/d/x", "/d/y"])
        let moved = machine.with(["/d/1": "/m/1", "/d/y": "/m/2"])
        #expect(moved.disks[1].paths == ["/m/1", "/d/x", "/m/2"] && moved.disks[0].paths == ["/d/0"])
    }

    /// Every device on the root bus has a place of its own, and a slot's function 0 says whether it has others.
    @Test(arguments: [0, 1, 25, 26, 27, 100, 200, MachineConfiguration.mostDisks])
    func places(_ count: Int) {
        let machine = configuration(disks: count)
        let places = (0..<count).map { machine.address(ofDisk: $0) }
        #expect(Set(places.map { $0.slot * 8 + $0.function }).count == count)
        #expect(
            places.allSatisfy {
                (MachineConfiguration.firstDiskSlot...30).contains($0.slot) && (0...7).contains($0.function)
            })
        for place in places where place.function > 0 {
            #expect(places.contains { $0.slot == place.slot && $0.function == 0 && $0.multifunction })
        }
        #expect(count > 26 || places.allSatisfy { $0.function == 0 && !$0.multifunction })
        let xml = DomainXML.render(machine)
        #expect(xml.components(between: "<disk ", and: "</disk>").count == count)
        #expect(xml.components(between: "multifunction='on", and: "'").count == (count > 26 ? (count + 7) / 8 : 0))
    }

    @Test(arguments: [(0, "vda"), (25, "vdz"), (26, "vdaa"), (51, "vdaz"), (52, "vdba"), (207, "vdgz")])
    func diskNames(_ index: Int, _ name: String) { #expect(DomainXML.diskName(index) == name) }

    /// Text that would be markup, an option or a control sequence stays text.
    @Test(arguments: [
        ("markup", "</title><devices><hostdev/>", "&lt;/title&gt;&lt;devices&gt;&lt;hostdev/&gt;"),
        ("quotes", "a'b\"c", "a&apos;b&quot;c"), ("entity", "&lt;", "&amp;lt;"),
        ("control characters", "a\u{0}\u{1B}[2J\u{FFFF}", "a\u{FFFD}\u{FFFD}[2J\u{FFFD}"),
        ("comment", "--><!--", "--&gt;&lt;!--"), ("section", "]]>", "]]&gt;"),
        ("line end", "a\nb\tc\rd", "a&#10;b&#9;c&#13;d"),
        ("other scripts", "Ж日\u{1F600}", "Ж日\u{1F600}"),
    ])
    func escaping(_ name: String, _ text: String, _ expected: String) {
        #expect(XMLElement.escape(text) == expected, "\(name)")
        let xml = DomainXML.render(
            configuration {
                $0.kernel = text
                $0.commandLine = text
                $0.consoleLog = text
            })
        #expect(xml.components(between: "<kernel>", and: "</kernel>") == [expected])
        #expect(xml.components(between: "<cmdline>", and: "</cmdline>") == [expected])
        #expect(xml.contains("<source path='\(expected)' append='on'/>"))
    }

    @Test func featuresHiddenFromTheGuest() {
        let hidden = "<feature policy='disable' name='arch-capabilities'/>"
        let change = { (machine: inout MachineConfiguration) in machine.hiddenProcessorFeatures = ["arch-capabilities"]
        }
        #expect(DomainXML.render(configuration(.kvm, change)).contains(hidden))
        #expect(!DomainXML.render(configuration(.kvm)).contains(hidden))
        #expect(!DomainXML.render(configuration(.emulation, change)).contains(hidden))
    }

    @Test func commaInSocketPath() {
        let xml = DomainXML.render(configuration { $0.vsockSocket = "/s/a,server=on" })
        #expect(xml.contains("value='socket,id=vsock,path=/s/a,,server=on'"))
    }

    @Test(arguments: [
        ("/run/cloister/web", "qemu:///embed?root=/run/cloister/web"), ("/a b", "qemu:///embed?root=/a%20b"),
        ("/a&root=/b?c#d%", "qemu:///embed?root=/a%26root%3D/b%3Fc%23d%25"), ("/é", "qemu:///embed?root=/%C3%A9"),
    ])
    func rootBecomesAddress(_ path: String, _ address: String) throws { #expect(try DriverRoot(path).uri == address) }

    @Test func rootsThatDoNotFit() throws {
        let longest = "/" + String(repeating: "a", count: VirtualMachine.longestRootInBytes - 1)
        #expect(throws: Never.self) { try DriverRoot(longest) }
        #expect(throws: HypervisorError.self) { try DriverRoot(longest + "a") }
        #expect(throws: HypervisorError.self) { try DriverRoot("relative") }
    }

    @Test func driverConfiguration() {
        let root = DriverRoot.configuration(.init(uid: 7, gid: 8), isRoot: true)
        #expect(root.contains("user = \"+7\"\ngroup = \"+8\"\n") && root.contains("seccomp_sandbox = 1\n"))
        #expect(!DriverRoot.configuration(.init(uid: 7, gid: 8), isRoot: false).contains("user ="))
    }
}

/// Leaves out the `<cpu …>` element, with its children where it has some.
private func withoutProcessor(_ lines: [Substring]) -> [Substring] {
    var inside = false
    return lines.filter { line in
        let text = line.drop { $0 == " " }
        if text.hasPrefix("<cpu ") {
            inside = !text.hasSuffix("/>")
            return false
        }
        if text == "</cpu>" {
            inside = false
            return false
        }
        return !inside
    }
}

extension String {
    /// What stands between the two marks, each time.
    fileprivate func components(between start: String, and end: String) -> [String] {
        var result: [String] = []
        var rest = self[...]
        while let opening = rest.firstRange(of: start) {
            rest = rest[opening.upperBound...]
            guard let closing = rest.firstRange(of: end) else { break }
            result.append(String(rest[..<closing.lowerBound]))
            rest = rest[closing.upperBound...]
        }
        return result
    }
}
