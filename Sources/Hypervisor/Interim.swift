// Until the room is filled: see Package.swift.
import CLibvirt
import CSystem
import Glibc
import System
public enum Accelerator: String, Sendable { case kvm, emulation }
public enum AcceleratorChoice: String, Sendable { case auto, kvm, emulation
  public func resolve() -> (accelerator: Accelerator, reason: String) { self == .kvm ? (.kvm, "asked") : (.emulation, "hedge") } }
public struct Disk: Sendable { public var path: String; public var readOnly: Bool; public var serial: String
  public init(path: String, readOnly: Bool, serial: String) { self.path = path; self.readOnly = readOnly; self.serial = serial } }
public struct MachineConfiguration: Sendable {
  var name: String, accelerator: Accelerator, memoryInBytes: UInt64, vcpus: Int, kernel: String, initramfs: String, commandLine: String, disks: [Disk], vsockSocket: String?, consoleLog: String
  public init(name: String, accelerator: Accelerator, memoryInBytes: UInt64, vcpus: Int, kernel: String, initramfs: String, commandLine: String, disks: [Disk], vsockSocket: String?, consoleLog: String) {
   self.name = name; self.accelerator = accelerator; self.memoryInBytes = memoryInBytes; self.vcpus = vcpus; self.kernel = kernel; self.initramfs = initramfs; self.commandLine = commandLine; self.disks = disks; self.vsockSocket = vsockSocket; self.consoleLog = consoleLog } 
  var xml: String {
    var d = ""
    for (i, disk) in disks.enumerated() {
      d += "<disk type='file' device='disk'><driver name='qemu' type='raw' cache='writeback' discard='unmap'/><source file='\(disk.path)'/><target dev='vd\(String(UnicodeScalar(UInt8(97+i))))' bus='virtio'/>\(disk.readOnly ? "<readonly/><shareable/>" : "")<serial>\(disk.serial)</serial><address type='pci' bus='0x00' slot='0x\(String(i + 8, radix: 16))'/></disk>"
    }
    return """
    <domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'><name>vm</name><memory unit='b'>\(memoryInBytes)</memory><vcpu>\(vcpus)</vcpu>
    <memoryBacking><source type='memfd'/><access mode='shared'/></memoryBacking>
    <os><type arch='x86_64' machine='q35'>hvm</type><kernel>\(kernel)</kernel><initrd>\(initramfs)</initrd><cmdline>\(commandLine)</cmdline></os>
    <features><acpi/></features><on_poweroff>destroy</on_poweroff><on_reboot>destroy</on_reboot><on_crash>destroy</on_crash>
    <devices><emulator>/usr/bin/qemu-system-x86_64</emulator>\(d)<controller type='usb' model='none'/><memballoon model='none'/><controller type='virtio-serial' index='0'><address type='pci' bus='0x00' slot='0x03'/></controller>
    <console type='file'><source path='\(consoleLog)'/><target type='virtio' port='0'/></console>
    </devices>
    <qemu:commandline><qemu:arg value='-chardev'/><qemu:arg value='socket,id=vsock0,path=\(vsockSocket ?? "")'/><qemu:arg value='-device'/><qemu:arg value='vhost-user-vsock-pci,chardev=vsock0,bus=pcie.0,addr=0x4'/></qemu:commandline>
    <qemu:capabilities><qemu:del capability='cpu-unavailable-features'/></qemu:capabilities>
    </domain>
    """
  }
}
private let loopStarted: Bool = {
  virEventRegisterDefaultImpl()
  virSetErrorFunc(nil) { _, _ in }
  Thread.start("libvirt") { while true { virEventRunDefaultImpl() } }
  return true
}()
public final class VirtualMachine: @unchecked Sendable {
  let c: MachineConfiguration, root: String, cache: String
  var conn: OpaquePointer?, dom: OpaquePointer?
  var exit: (@Sendable (String) -> Void)?
  public init(configuration: MachineConfiguration, root: String, capabilityCache: String) { c = configuration; self.root = root; cache = capabilityCache }
  public func onExit(_ body: @escaping @Sendable (String) -> Void) { exit = body }
  public func start(_ timings: (String, Duration) -> Void) throws {
    _ = loopStarted
    try Files.makeDirectories(root + "/etc", mode: 0o755)
    try Files.makeDirectories(root + "/cache", mode: 0o755)
    try Files.makeDirectories(cache, mode: 0o755)
    symlink(cache, root + "/cache/qemu")
    try Files.write(root + "/etc/qemu.conf", "stdio_handler = \"file\"\nseccomp_sandbox = 1\nnamespaces = []\nuser = \"+0\"\ngroup = \"+0\"\ncgroup_controllers = []\nsecurity_driver = \"none\"\nremember_owner = 0\n", mode: 0o644)
    var t = Clock.monotonic
    conn = virConnectOpen("qemu:///embed?root=\(root)")
    guard conn != nil else { throw SystemError("libvirt: " + String(cString: virGetLastErrorMessage())) }
    timings("libvirt open", Clock.monotonic - t); t = Clock.monotonic
    dom = virDomainCreateXML(conn, c.xml, 0)
    guard dom != nil else { throw SystemError("libvirt: " + String(cString: virGetLastErrorMessage())) }
    timings("domain create", Clock.monotonic - t)
    guard let text = try? Files.readText(root + "/run/qemu/vm.pid"), let pid = pid_t(text.filter(\.isNumber)) else { return }
    Thread.start("qemu-exit") {
      let fd = cs_pidfd_open(pid)
      var poll = pollfd(fd: fd, events: Int16(POLLIN), revents: 0)
      while Glibc.poll(&poll, 1, -1) < 1 {}
      self.exit?("QEMU ended")
    }
  }
  public func destroy() {
    guard let text = try? Files.readText(root + "/run/qemu/vm.pid"), let pid = pid_t(text.filter(\.isNumber)) else { return }
    kill(pid, SIGKILL)
    waitpid(pid, nil, 0)
  }
}
