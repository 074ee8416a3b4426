import System

/// Kernels of a few bytes, entered by PVH as Linux is (Xen's `docs/misc/pvh.pandoc`): a machine can be tested without
/// building a kernel, and in a tenth of a second.
enum TinyKernel: String, CaseIterable {
    case powersOff
    case halts

    /// 32-bit code, run in protected mode.
    private var code: [UInt8] {
        switch self {
        // First mov ecx, 2^29; loop to itself: a guest that powers off before libvirt has seen it run makes the start fail,
        // and no real kernel is that fast (half a second, emulated). Then mov dx, 0x604 (PM1a control, where the firmware
        // puts it); mov ax, 0x2000 (S5, sleep now); out dx, ax; then halt.
        case .powersOff:
            [0xB9, 0, 0, 0, 0x20, 0xE2, 0xFE, 0x66, 0xBA, 0x04, 0x06, 0x66, 0xB8, 0x00, 0x20, 0x66, 0xEF]
                + TinyKernel.halts.code
        // cli; hlt; jmp back
        case .halts: [0xFA, 0xF4, 0xEB, 0xFC]
        }
    }

    func write(to path: String) throws {
        let base: UInt64 = 0x100000
        let headers = 64 + 2 * 56
        let note = little(UInt32(4)) + little(UInt32(8)) + little(UInt32(18)) + Array("Xen\0".utf8)
        let entry = base + UInt64(headers + note.count + 8)
        let body = note + little(entry) + code
        let total = UInt64(headers + body.count)

        var file: [UInt8] = [0x7F, 0x45, 0x4C, 0x46, 2, 1, 1] + [UInt8](repeating: 0, count: 9)
        file += little(UInt16(2)) + little(UInt16(62)) + little(UInt32(1)) + little(entry)
        file += little(UInt64(64)) + little(UInt64(0)) + little(UInt32(0))
        file += little(UInt16(64)) + little(UInt16(56)) + little(UInt16(2))
        file += little(UInt16(0)) + little(UInt16(0)) + little(UInt16(0))
        file += segment(type: 1, offset: 0, address: base, size: total)
        file += segment(
            type: 4, offset: UInt64(headers), address: base + UInt64(headers), size: UInt64(note.count + 8))
        try Files.write(path, file + body, mode: 0o644)
    }

    private func segment(type: UInt32, offset: UInt64, address: UInt64, size: UInt64) -> [UInt8] {
        little(type) + little(UInt32(7)) + little(offset) + little(address) + little(address) + little(size)
            + little(size)
            + little(UInt64(4))
    }

    private func little<T: FixedWidthInteger>(_ value: T) -> [UInt8] {
        withUnsafeBytes(of: value.littleEndian) { Array($0) }
    }
}
