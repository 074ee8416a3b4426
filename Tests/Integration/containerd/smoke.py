"""The tests that every version of containerd has to pass, by file: what lies between containerd and the shim differs between
versions, what goes on inside a guest does not. Some are parametrized: then the words in brackets choose."""

SMOKE = {
    "test_ctr.py": {
        "test_exit_codes[42]", "test_output_and_errors_are_apart", "test_last_words_are_not_lost", "test_exec_exit_codes",
        "test_exec_stdio", "test_exec_many_at_once", "test_metrics", "test_a_terminal",
        "test_kill_ends_with_128_and_the_signal[SIGTERM]", "test_the_order_of_events",
        "test_out_of_memory_is_an_event_and_137", "test_a_log_in_a_program", "test_a_network_by_cni"},
    "test_cri_containers.py": {
        "test_logs", "test_exec_sync", "test_exec_with_a_terminal", "test_attach", "test_restart", "test_limits_can_change"},
    "test_cri_network.py": {"test_the_pod_answers_the_host_and_another_pod", "test_port_forward"},
    "test_cri_pods.py": {"test_containerd_restarted_under_a_pod", "test_pod_stats"},
    "test_cri_security.py": {"test_host_network_is_given_or_refused"},
    "test_cri_volumes.py": {"test_files_and_directories"},
}


def select(items):
    """Gives these tests the marker `smoke`, and refuses names of the list that no test has."""
    unknown = {(file, name) for file, names in SMOKE.items() for name in names}
    files = set()
    for item in items:
        file = item.path.name
        files.add(file)
        parameters = getattr(item, "callspec", None)
        words = [word for word in parameters.id.split("-") if word != parameters.params.get("handler")] if parameters else []
        name = item.originalname + ("[" + "-".join(words) + "]" if words else "")
        if name in SMOKE.get(file, ()):
            item.add_marker("smoke")
            unknown.discard((file, name))
    unknown = {(file, name) for file, name in unknown if file in files}
    assert not unknown, f"smoke.py names tests that there are not: {unknown}"
