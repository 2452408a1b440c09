"""How many files and sockets a process may have open."""

try:
    import resource
except ImportError:  # not made for Windows
    resource = None  # type: ignore[assignment]


def allow_open_files(num_files: int) -> int | None:
    """Raise this process's limit to so many, as far as it may; what holds then. `None`: it has no limit that is known.

    Many systems begin with 1024 and let a process ask for more: who was made for few would otherwise fail with many.
    """
    if resource is None:
        return None
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = num_files if hard == resource.RLIM_INFINITY else min(num_files, hard)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return None if soft == resource.RLIM_INFINITY else soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError):  # macOS has a bound of its own below what it reports
        return soft
    return wanted
