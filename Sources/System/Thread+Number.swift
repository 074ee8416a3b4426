import CSystem
import Glibc

extension Thread {
    /// The calling thread's number: `/proc/NUMBER` is it, for as long as it runs (gettid(2)).
    public static var number: pid_t { cs_thread_number() }
}
