"""The one list of what cannot mean the same in a virtual machine, by test, each with its reason. The tests named here check
what Cloister does instead."""

DIFFERENCES = {
    "test_host_network_is_given_or_refused":
        "refused: the container's network stack is its guest's kernel's; the host's cannot be handed into it",
    "test_net_host_is_given_or_refused":
        "refused: the container's network stack is its guest's kernel's; the host's cannot be handed into it",
    "test_no_network":
        "an interface is there that is down and has no address: the guest's card must be in it before anybody knows whether "
        "`--cni` will want it",
    "test_host_pid_is_given_or_refused":
        "refused: processes of the host are not processes of the guest's kernel",
    "test_host_ipc_is_given_or_refused":
        "refused: System V and POSIX objects of the host do not exist in the guest's kernel",
    "test_bidirectional_propagation_is_given_or_refused":
        "refused: a mount made by the guest's kernel cannot appear in the host's",
    "test_device_nodes_on_a_volume":
        "refused: what serves volumes to the guest holds no privilege on the host, so it cannot make devices there",
    "test_hooks_inside_the_container_are_run_or_refused":
        "refused: they are programs of the host, and the inside of the container is another machine",
    "test_privileged_devices":
        "devices are the guest's: privileged never gives a device of the host",
}
