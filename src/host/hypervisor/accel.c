/* See accel.h. */
#include "host/hypervisor/accel.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <sys/ioctl.h>

static void filep(FILE **f)
{
    if (*f)
        fclose(*f);
}

/* The value after "key<blanks>:", its end of line cut; or null. */
static char *line_value(char *line, const char *key)
{
    size_t n = strlen(key);
    if (strncmp(line, key, n) != 0)
        return NULL;
    char *p = line + n;
    p += strspn(p, " \t");
    if (*p != ':')
        return NULL;
    p++;
    p += strspn(p, " \t");
    p[strcspn(p, "\n")] = '\0';
    return p;
}

int cpu_facts_read(const char *path, struct arena *a, struct cpu_facts *ret)
{
    _cleanup_(filep) FILE *f = fopen(path, "re");
    if (!f)
        return -errno;
    struct cpu_facts c = { 0 };
    _cleanup_(freep) char *line = NULL;
    size_t cap = 0;
    while (getline(&line, &cap, f) > 0) {
        if (line[0] == '\n' && c.flags.n)
            break;
        char *v;
        if ((v = line_value(line, "model name")) && !c.model)
            c.model = arena_strdup(a, v);
        else if ((v = line_value(line, "vendor_id")) && !c.vendor)
            c.vendor = arena_strdup(a, v);
        else if ((v = line_value(line, "flags")) || (v = line_value(line, "Features")))
            strv_split(a, &c.flags, v, " ");
    }
    if (arena_failed(a))
        return -ENOMEM;
    *ret = c;
    return 0;
}

const char *kvm_missing(const struct cpu_facts *cpu, const char *device)
{
    if (!strv_has(&cpu->flags, "vmx") && !strv_has(&cpu->flags, "svm"))
        return "the CPU shows neither vmx nor svm";
    _cleanup_(closep) int fd = open(device, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return "the KVM device can't be opened";
    if (ioctl(fd, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
        return "the KVM device speaks an unknown version";
    return NULL;
}

int64_t meminfo_bytes(const char *path, const char *key)
{
    _cleanup_(filep) FILE *f = fopen(path, "re");
    if (!f)
        return -1;
    char line[256];
    while (fgets(line, sizeof(line), f)) {
        char *v = line_value(line, key);
        if (v)
            return strtoll(v, NULL, 10) * 1024;
    }
    return -1;
}
