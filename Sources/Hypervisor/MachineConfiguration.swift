import Glibc
import System

/// A virtio block device, in the guest `/dev/vda`, `/dev/vdb`, … in the order given.
public struct Disk: Sendable, Equatable {
    public var path: String
    /// Files whose bytes follow those of `path`, on a read-only disk that is there from the start; `path` and they are of
    /// whole sectors then. QEMU reads such a disk one request at a time.
    public var furtherPaths: [String] = []
    /// Read-only disks may be shared by any number of sandboxes; QEMU takes no lock on them.
    public var readOnly: Bool
    /// At most `longestSerialInBytes` bytes of letters, digits, `.`, `_`, `-`; seen in the guest as
    /// `/sys/block/vdX/serial`.
    public var serial: String
    /// `path` is a block device of the host's, not a file.
    public var isDevice: Bool

    /// Of several files: what tells QEMU of them (`JoinedFiles`).
    var descriptor: String?

    var paths: [String] { [path] + furtherPaths }

    /// virtio specification 1.2, section 5.2.4: what a disk's size is counted in.
    static let sectorInBytes: UInt64 = 512
    /// virtio specification 1.2, section 5.2.6: the identifier has 20 bytes.
    public static let longestSerialInBytes = 20

    public init(path: String, readOnly: Bool, serial: String, isDevice: Bool = false) {
        self.path = path
        self.readOnly = readOnly
        self.serial = serial
        self.isDevice = isDevice
    }
}

/// A virtual machine as the engine wants it. Every path is absolute.
public struct MachineConfiguration: Sendable {
    /// Whom QEMU runs as.
    public struct User: Sendable, Equatable {
        public var uid: uid_t
        public var gid: gid_t
        public init(uid: uid_t, gid: gid_t) {
            self.uid = uid
            self.gid = gid
        }
    }

    /// The sandbox's id, for people: it appears as the domain's title. Any text.
    public var name: String
    public var accelerator: Accelerator
    public var memoryInBytes: UInt64
    public var vcpus: Int
    /// An uncompressed kernel with a PVH entry, or a bzImage.
    public var kernel: String
    public var initramfs: String
    public var commandLine: String
    public var disks: [Disk]
    /// In the order given; at most `mostNetworkCards`.
    public var networkCards: [NetworkCard] = []
    /// Socket of the vhost-user-vsock back end, which must be listening before `VirtualMachine.start`; nil for no device.
    public var vsockSocket: String?
    /// The directory that the guest shares with the host; nil for none.
    public var share: Share?
    /// File that what the guest writes to `hvc0` is appended to; created when it is not there.
    public var consoleLog: String
    /// A 16550 (`ttyS0`) for what a guest says before virtio is up, appended to this file. It slows the boot: for debugging.
    public var serialLog: String?
    /// Whom QEMU becomes when this process is root (nil: it stays what this process is). The user need not be in the
    /// user database: a number of its own for each sandbox keeps sandboxes apart. Nothing is chowned here, because
    /// layers are shared between sandboxes: the files' own modes must let it read `kernel`, `initramfs` and read-only
    /// disks and write the other disks (the directories above need not); it must be able to connect to `vsockSocket`, and
    /// to traverse (`x`) the directories above that and above the machine's root directory. The console's file is opened
    /// for it.
    public var runAs: User?
    /// The QEMU binary.
    public var emulatorPath = "/usr/bin/qemu-system-x86_64"
    /// The machine's firmware; nil takes QEMU's default, SeaBIOS. That looks at each disk for something to boot: with 8
    /// disks it takes 0.1 s longer than qboot under emulation, with 26 0.4 s, with 100 more than 5 s.
    public var firmware = Self.smallFirmware
    /// QEMU's own, where its package has it.
    private static let smallFirmware: String? = ["/usr/share/qemu/qboot.rom", "/usr/share/qboot/bios.bin"].first(
        where: Files.exists)
    /// A device for giving memory back to the host. Costs a few milliseconds of start.
    public var balloon = false
    /// Whether disks can be plugged in while the machine runs, at most `mostPluggedDisks` at a time.
    public var pluggable = false

    public init(
        name: String, accelerator: Accelerator, memoryInBytes: UInt64, vcpus: Int, kernel: String, initramfs: String,
        commandLine: String, disks: [Disk] = [], vsockSocket: String? = nil, consoleLog: String, runAs: User? = nil
    ) {
        self.name = name
        self.accelerator = accelerator
        self.memoryInBytes = memoryInBytes
        self.vcpus = vcpus
        self.kernel = kernel
        self.initramfs = initramfs
        self.commandLine = commandLine
        self.disks = disks
        self.vsockSocket = vsockSocket
        self.consoleLog = consoleLog
        self.runAs = runAs
    }

    /// Features that the host's processor has and the guest is not told of; KVM alone.
    var hiddenProcessorFeatures: [String] = []

    /// What QEMU opens by path, itself.
    var files: [String] { [kernel, initramfs] + disks.flatMap(\.paths) }

    /// The same machine with these files elsewhere.
    func with(_ places: [String: String]) -> MachineConfiguration {
        let place = { (path: String) in places[path] ?? path }
        var copy = self
        copy.kernel = place(kernel)
        copy.initramfs = place(initramfs)
        for index in copy.disks.indices {
            copy.disks[index].path = place(disks[index].path)
            copy.disks[index].furtherPaths = disks[index].furtherPaths.map(place)
        }
        return copy
    }

    /// Where a device sits.
    public struct Address: Equatable, Sendable {
        /// 0 is the root bus `pcie.0`, 1 a root port's, 2 the one behind the bridge there.
        public var bus = 0
        public var slot: Int
        public var function: Int
        /// Other functions of the slot are in use, which function 0 has to announce.
        public var multifunction = false
    }

    /// More disks than this do not fit on the bus: 26 slots of 8 functions.
    public static let mostDisks = (31 - firstDiskSlot) * 8
    // 0 is the host bridge and 31 the chipset's own devices (ICH9).
    static let vsockSlot = 1
    static let consoleSlot = 2
    static let shareSlot = 3
    static let balloonSlot = 4
    static let firstDiskSlot = 5

    /// The other functions of the console's slot: nobody unplugs either, and disks need the slots.
    public static let mostNetworkCards = 7
    func address(ofNetworkCard index: Int) -> Address { Address(slot: Self.consoleSlot, function: 1 + index) }
    var consoleAddress: Address {
        Address(slot: Self.consoleSlot, function: 0, multifunction: !networkCards.isEmpty)
    }

    static let shareAddress = Address(slot: shareSlot, function: 0)
    /// Behind the bridge, where there is one. The guest's kernel gives a bridge addresses for what it finds behind it at
    /// boot, in pieces of a mebibyte: with nothing there it would have none for what comes later.
    var balloonAddress: Address {
        if pluggable { return Address(bus: 2, slot: Self.mostPluggedDisks + 1, function: 0) }
        return Address(slot: Self.balloonSlot, function: 0)
    }
    /// In the place that the balloon has without a bridge.
    static let rootPortAddress = Address(slot: balloonSlot, function: 0)
    static let bridgeAddress = Address(bus: 1, slot: 0, function: 0)

    /// A conventional bus has 31 slots for devices.
    public static let mostPluggedDisks = 30
    /// - Parameter port: from 0.
    static func address(ofPort port: Int) -> Address { Address(bus: 2, slot: 1 + port, function: 0) }

    /// A slot for each disk while there are enough, since a whole slot can be unplugged by itself; then eight a slot.
    func address(ofDisk index: Int) -> Address {
        if disks.count <= 31 - Self.firstDiskSlot { return Address(slot: Self.firstDiskSlot + index, function: 0) }
        let function = index % 8
        return Address(slot: Self.firstDiskSlot + index / 8, function: function, multifunction: function == 0)
    }
}
