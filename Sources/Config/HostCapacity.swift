import Glibc

/// This machine, as far as it bounds a virtual one.
public struct HostCapacity: Sendable {
    public var memoryInBytes: UInt64
    public var cpus: UInt32

    public init(memoryInBytes: UInt64, cpus: UInt32) {
        self.memoryInBytes = memoryInBytes
        self.cpus = cpus
    }

    public static var own: HostCapacity {
        HostCapacity(
            memoryInBytes: UInt64(max(0, sysconf(Int32(_SC_PHYS_PAGES))))
                * UInt64(max(0, sysconf(Int32(_SC_PAGESIZE)))),
            cpus: UInt32(clamping: max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))))
    }
}
