import AgentAPI
import CSystem
import Network
import System
import Vsock

/// Connections to the pod's own addresses, opened on the host in the pod's network namespace: the guest's, by a stream.
extension Sandbox {
    /// Nil where the kernel has no means; everything else of the network works without.
    func takeLocalConnections(_ guest: Guest) -> LocalConnections? {
        do {
            return try LocalConnections { connection, destination in
                do { try Self.forward(connection, to: destination, guest) } catch {
                    // As if nothing had listened, which is nearly always what it is.
                    cs_reset_when_closed(connection.raw)
                }
            }
        } catch {
            configuration.log("port forwarding does not work (it needs Linux 5.9 or newer with BPF): \(error)")
            return nil
        }
    }

    private static func forward(
        _ connection: FileDescriptor, to destination: LocalConnections.Destination, _ guest: Guest
    ) throws {
        let device = guest.device
        let port = device.allocatePort()
        device.listen(port: port) { _ in
            device.unlisten(port: port)
            return StreamEnds(input: connection, output: connection)
        }
        var request = DialRequest()
        request.address = destination.address
        request.port = UInt32(destination.port)
        request.streamPort = port
        do { _ = try guest.call(Agent.dial, request, timeout: .seconds(30)) } catch {
            device.unlisten(port: port)
            throw error
        }
    }
}
