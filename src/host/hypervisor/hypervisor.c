/*
 * What all kinds of hypervisors share: finding a class, words for states, the fingerprint.
 */
#include "host/hypervisor/hypervisor.h"

#include <openssl/evp.h>

const char *domain_state_power(enum domain_state state)
{
    switch (state) {
    case DOMAIN_RUNNING:
        return POWER_RUNNING;
    case DOMAIN_SHUTOFF:
        return POWER_SHUTOFF;
    case DOMAIN_PAUSED:
        return POWER_PAUSED;
    case DOMAIN_SUSPENDED:
        return POWER_SUSPENDED;
    case DOMAIN_CRASHED:
        return POWER_CRASHED;
    case DOMAIN_ABSENT:
        break;
    }
    return POWER_ABSENT;
}

const struct hypervisor_class *hypervisor_class_find(const char *name)
{
    static const struct hypervisor_class *const ALL[] = { &HYPERVISOR_LIBVIRT, &HYPERVISOR_SIMULATED };
    if (str_empty(name))
        return &HYPERVISOR_LIBVIRT;
    for (size_t i = 0; i < ARRAY_SIZE(ALL); i++)
        if (STREQ(ALL[i]->name, name))
            return ALL[i];
    return NULL;
}

void hypervisor_close(struct hypervisor *hv)
{
    if (hv)
        hv->class->close(hv);
}

int hypervisor_cannot(const struct hypervisor *hv, const char *what, struct fault *fault)
{
    return fault_set(fault, 501, "NotImplemented", "Hypervisors of kind %s can't do this: %s.",
                     hv->class->name, what);
}

const char *hypervisor_fingerprint(const struct server_spec *spec, struct arena *a)
{
    /* What is left out can change without a new definition: orders, wanted power, what only
     * the metadata service and the config drive show. */
    struct server_spec s = {
        .id = spec->id,
        .vcpus = spec->vcpus,
        .memory_mb = spec->memory_mb,
        .extra_specs = spec->extra_specs,
        .pinned_cpus = spec->pinned_cpus,
        .numa_topology = spec->numa_topology,
        .pci_devices = spec->pci_devices,
    };
    struct server_image image = { 0 };
    if (spec->image) {
        image.properties = spec->image->properties;
        s.image = &image;
    }
    memcpy(&s.disks, &spec->disks, sizeof(s.disks));
    memcpy(&s.nics, &spec->nics, sizeof(s.nics));

    _cleanup_(buf_done) struct buf text = BUF_MAX(4 << 20);
    struct json_out out = JSON_OUT(&text);
    schema_encode(&SERVER_SPEC_SCHEMA, &s, &(struct encode_options){ .stored = true }, &out);
    unsigned char d[EVP_MAX_MD_SIZE];
    if (buf_error(&text) || !EVP_Digest(text.data, text.len, d, NULL, EVP_sha256(), NULL)) {
        arena_fail(a);
        return NULL;
    }
    char *hex = arena_alloc(a, 33);
    for (size_t i = 0; hex && i < 16; i++)
        snprintf(hex + 2 * i, 3, "%02x", d[i]);
    return hex;
}
