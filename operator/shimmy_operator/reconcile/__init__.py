"""One function per kind that makes the cluster what an object says, whatever happened before."""
