import System

/// What a connection is joined to on the host. Bytes from the guest go to `output`; bytes read from `input` go to the
/// guest.
///
/// The descriptors may share their open file description with other processes, as a terminal or an inherited pipe does:
/// their flags are never changed. Both may be the same socket.
public struct StreamEnds: Sendable {
    /// How a stream ended.
    public enum Reason: Equatable, Sendable {
        /// Each direction ended by itself, or was closed by the guest; every byte the guest sent was handed over.
        case finished
        /// The guest reset the connection. What it had sent before was handed over.
        case resetByGuest
        /// The guest sent what the protocol forbids, and the connection was reset.
        case protocolViolation
        /// `output` failed with this errno; `EPIPE` is a reader that went away.
        case outputFailed(errno: Int32)
        /// `input` failed with this errno.
        case inputFailed(errno: Int32)
        /// The guest was reset, its queues broke, or QEMU went away. What had arrived was handed over.
        case deviceGone
        /// `VsockDevice.stop` was called.
        case stopped
    }

    /// Nil: the guest's reader sees the end at once.
    public var input: FileDescriptor?
    /// Nil: what the guest sends is thrown away.
    public var output: FileDescriptor?
    /// Whether a socket is shut down, for writing when the guest has sent everything and for reading when the guest
    /// reads no more. Not wanted where other processes go on using the same socket. Whatever it is, it is let go of.
    public var shutsDownSockets: Bool
    /// Called once, on the device's thread, when both directions have ended; all the guest's bytes have been given to
    /// `output` by then. Must not block.
    public var onClosed: (@Sendable (Reason) -> Void)?

    public init(
        input: FileDescriptor?, output: FileDescriptor?, shutsDownSockets: Bool = true,
        onClosed: (@Sendable (Reason) -> Void)? = nil
    ) {
        self.input = input
        self.output = output
        self.shutsDownSockets = shutsDownSockets
        self.onClosed = onClosed
    }
}
