import OCISpec

/// CRI-O makes a pod's namespaces itself, keeps each in a file of its own directory, and names these files in the specifications
/// of all the pod's containers. In the guest they are those that the container which stands for the pod makes for itself.
///
/// Where a pod asks for the host's, CRI-O names none, so what such a file holds is never the host's.
extension RuntimeSpec {
    private static let containerType = "io.kubernetes.cri-o.ContainerType"

    /// Says of such namespaces what containerd says: the container that stands for the pod has new ones, and the others name
    /// them by a process.
    /// - Parameter pod: the number of the process that has the namespaces of the container that stands for the pod.
    mutating func unpinNamespaces(pod: Int32) {
        guard let type = annotations[Self.containerType], let namespaces = linux?.namespaces else { return }
        linux?.namespaces = namespaces.map { namespace in
            guard ["ipc", "uts"].contains(namespace.type), let path = namespace.path, !path.hasPrefix("/proc/") else {
                return namespace
            }
            return Namespace(type: namespace.type, path: type == "sandbox" ? nil : "/proc/\(pod)/ns/\(namespace.type)")
        }
    }
}
