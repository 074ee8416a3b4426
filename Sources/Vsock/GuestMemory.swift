import CVsock
import Glibc
import System

/// The guest's memory as the front end shares it: regions of files, mapped here.
///
/// Every address a guest or the front end gives is turned into a pointer here and nowhere else. A mapping beyond its
/// file's end would end this process with SIGBUS, so a region must lie inside its file when it is added. That the file
/// stays that long is sure where it is sealed against shrinking, as QEMU seals its memfds; with a plain file in
/// /dev/shm only the front end could cut it short, and this process serves that front end's sandbox alone and ends with
/// it anyway.
struct GuestMemory {
    enum Failure: Error, Equatable, CustomStringConvertible {
        case empty, wraps, overlaps, notAFile, unaligned, beyondFile, full
        case mapping(errno: Int32)

        var description: String {
            switch self {
            case .empty: "a memory region is empty"
            case .wraps: "a memory region wraps around the address space"
            case .overlaps: "two memory regions overlap"
            case .notAFile: "a memory region's descriptor is not a file"
            case .unaligned: "a memory region does not start at a page"
            case .beyondFile: "a memory region ends beyond its file"
            case .full: "there are too many memory regions"
            case .mapping(let code): "a memory region cannot be mapped: \(String(cString: strerror(code)))"
            }
        }
    }

    /// One mapping, undone when the last owner lets go.
    private final class Mapping {
        let region: VhostUser.MemoryRegion
        let base: UnsafeMutableRawPointer

        init(_ region: VhostUser.MemoryRegion, _ file: FileDescriptor) throws(Failure) {
            let page = UInt64(getpagesize())
            guard region.size > 0 else { throw .empty }
            let (_, guestWraps) = region.guestAddress.addingReportingOverflow(region.size)
            let (_, userWraps) = region.userAddress.addingReportingOverflow(region.size)
            let (end, offsetWraps) = region.fileOffset.addingReportingOverflow(region.size)
            guard !guestWraps, !userWraps, !offsetWraps, end <= UInt64(Int.max) else { throw .wraps }
            guard region.fileOffset % page == 0, region.guestAddress % page == 0, region.userAddress % page == 0 else {
                throw .unaligned
            }
            var info = stat()
            guard fstat(file.raw, &info) == 0, info.st_mode & S_IFMT == S_IFREG else { throw .notAFile }
            guard end <= UInt64(max(info.st_size, 0)) else { throw .beyondFile }
            // The count is what mmap rounds up to, which must not reach beyond the file either.
            guard region.size % page == 0 else { throw .unaligned }
            guard
                let base = mmap(
                    nil, Int(region.size), PROT_READ | PROT_WRITE, MAP_SHARED, file.raw, off_t(region.fileOffset)),
                base != MAP_FAILED
            else { throw .mapping(errno: errno) }
            // A core dump of this process must not contain the guest.
            let dontDump: Int32 = 16
            madvise(base, Int(region.size), dontDump)
            self.region = region
            self.base = base
        }

        deinit { munmap(base, Int(region.size)) }
    }

    private struct Span {
        var start: UInt64
        var size: UInt64
        var host: UnsafeMutableRawPointer
    }

    private var mappings: [Mapping] = []
    private var guestSpans: ContiguousArray<Span> = []

    var regionCount: Int { mappings.count }

    /// Maps one more region. - Throws: `Failure`; nothing is changed then.
    mutating func add(_ region: VhostUser.MemoryRegion, _ file: FileDescriptor) throws(Failure) {
        guard mappings.count < VhostUser.maximumMemorySlots else { throw .full }
        let mapping = try Mapping(region, file)
        func overlap(_ a: UInt64, _ b: UInt64, _ size: UInt64) -> Bool { a < b + size && b < a + region.size }
        for other in mappings.map(\.region) {
            if overlap(region.guestAddress, other.guestAddress, other.size)
                || overlap(region.userAddress, other.userAddress, other.size)
            {
                throw .overlaps
            }
        }
        mappings.append(mapping)
        guestSpans.append(Span(start: region.guestAddress, size: region.size, host: mapping.base))
    }

    /// Unmaps the region that was added with the same addresses and size. - Returns: whether there was one.
    mutating func remove(_ region: VhostUser.MemoryRegion) -> Bool {
        guard
            let index = mappings.firstIndex(where: {
                $0.region.guestAddress == region.guestAddress && $0.region.userAddress == region.userAddress
                    && $0.region.size == region.size
            })
        else { return false }
        mappings.remove(at: index)
        guestSpans.remove(at: index)
        return true
    }

    /// The bytes at a guest address, as many of `length` as one region holds in a row; nil where there is no memory.
    @inline(__always)
    func bytes(at address: UInt64, upTo length: UInt64) -> UnsafeMutableRawBufferPointer? {
        for span in guestSpans {
            let offset = address &- span.start
            if offset < span.size {
                return UnsafeMutableRawBufferPointer(
                    start: span.host + Int(offset), count: Int(min(length, span.size - offset)))
            }
        }
        return nil
    }

    /// `length` bytes in a row at an address of the front end's own memory; nil unless all of them are shared.
    func pointer(atUserAddress address: UInt64, length: UInt64) -> UnsafeMutableRawPointer? {
        for mapping in mappings {
            let offset = address &- mapping.region.userAddress
            if offset < mapping.region.size, length <= mapping.region.size - offset {
                return mapping.base + Int(offset)
            }
        }
        return nil
    }
}
