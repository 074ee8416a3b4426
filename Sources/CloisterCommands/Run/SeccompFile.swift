import FoundationEssentials
import OCISpec
import System

/// A filter from a file: the runtime specification's format, or Docker's, in which rules may depend on the container's
/// capabilities, the architecture and the kernel (https://docs.docker.com/engine/security/seccomp/).
enum SeccompFile {
    /// In bytes.
    static let largestInBytes = 1 << 20

    #if arch(arm64)
    static let machine = (docker: "arm64", seccomp: "SCMP_ARCH_AARCH64")
    #else
    static let machine = (docker: "amd64", seccomp: "SCMP_ARCH_X86_64")
    #endif

    private struct Document: Decodable {
        var defaultAction: SeccompProfile.Action
        var defaultErrnoRet: UInt32?
        var architectures: [String]?
        var archMap: [Architecture]?
        var flags: [String]?
        var syscalls: [Rule]?
    }

    private struct Architecture: Decodable {
        var architecture: String
        var subArchitectures: [String]?
    }

    private struct Rule: Decodable {
        /// Old profiles have one name a rule.
        var name: String?
        var names: [String]?
        var action: SeccompProfile.Action
        var errnoRet: UInt32?
        var args: [SeccompProfile.Argument]?
        var includes: Condition?
        var excludes: Condition?
    }

    private struct Condition: Decodable {
        var caps: [String]?
        var arches: [String]?
        var minKernel: String?
    }

    /// - Parameter capabilities: the container's.
    /// - Throws: `UserError` that names the file.
    static func read(_ path: String, capabilities: [String]) throws(UserError) -> SeccompProfile {
        let bytes: [UInt8]
        do { bytes = try Files.read(path, limit: largestInBytes) } catch {
            throw UserError("--security-opt: \(error); give a seccomp profile that can be read, or seccomp=unconfined.")
        }
        return try parse(bytes, path: path, capabilities: capabilities)
    }

    static func parse(_ bytes: [UInt8], path: String, capabilities: [String]) throws(UserError) -> SeccompProfile {
        let document: Document
        do { document = try OCIJSON.decode(Document.self, from: bytes) } catch {
            throw UserError("--security-opt: the seccomp profile \(path) cannot be used: \(error).")
        }
        if document.architectures?.isEmpty == false && document.archMap?.isEmpty == false {
            throw UserError("--security-opt: the seccomp profile \(path) has both architectures and archMap; keep one.")
        }
        var architectures = document.architectures ?? []
        if let entry = document.archMap?.first(where: { $0.architecture == machine.seccomp }) {
            architectures = [entry.architecture] + (entry.subArchitectures ?? [])
        }
        var rules: [SeccompProfile.Rule] = []
        for rule in document.syscalls ?? [] {
            let names = (rule.names ?? []) + (rule.name.map { [$0] } ?? [])
            guard !names.isEmpty, applies(rule, Set(capabilities)) else { continue }
            rules.append(
                SeccompProfile.Rule(
                    names: names, action: rule.action, errnoRet: rule.errnoRet, args: rule.args ?? []))
        }
        return SeccompProfile(
            defaultAction: document.defaultAction, defaultErrnoRet: document.defaultErrnoRet,
            architectures: architectures, flags: document.flags ?? [], syscalls: rules)
    }

    /// `minKernel` holds always: the guest's kernel is our own, newer than any a profile asks for (4.8, 5.0).
    private static func applies(_ rule: Rule, _ capabilities: Set<String>) -> Bool {
        if let includes = rule.includes {
            if let arches = includes.arches, !arches.isEmpty, !arches.contains(machine.docker) { return false }
            if let caps = includes.caps, !caps.allSatisfy(capabilities.contains) { return false }
        }
        if let excludes = rule.excludes {
            if excludes.arches?.contains(machine.docker) == true { return false }
            if excludes.caps?.contains(where: capabilities.contains) == true { return false }
            if excludes.minKernel != nil { return false }
        }
        return true
    }
}
