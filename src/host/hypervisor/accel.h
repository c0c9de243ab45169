/*
 * Whether guests can run on the CPU itself.
 *
 * A /dev/kvm alone proves nothing, and libvirt's capabilities claim KVM on hosts where it
 * can't work. KVM counts only where the CPU says vmx or svm and the device opens and
 * speaks the known version of its API.
 */
#ifndef YUNDUO_HOST_HYPERVISOR_ACCEL_H
#define YUNDUO_HOST_HYPERVISOR_ACCEL_H

#include "base/arena.h"
#include "base/vec.h"

/* What /proc/cpuinfo says of the first CPU. */
struct cpu_facts {
    const char *model, *vendor;
    struct strv flags;
};
int cpu_facts_read(const char *cpuinfo_path, struct arena *a, struct cpu_facts *ret);

/* Null: KVM works. Else a sentence that says why not. */
const char *kvm_missing(const struct cpu_facts *cpu, const char *kvm_device);

/* Bytes of a line of /proc/meminfo such as "MemTotal"; -1 when it isn't there. libvirt's
 * figures are too low where control groups are laid out unusually, so nobody asks it. */
int64_t meminfo_bytes(const char *meminfo_path, const char *key);

#endif
