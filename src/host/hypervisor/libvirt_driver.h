/* Inside of the libvirt driver: its state, and how its files reach the daemon. */
#ifndef YUNDUO_HOST_HYPERVISOR_LIBVIRT_DRIVER_H
#define YUNDUO_HOST_HYPERVISOR_LIBVIRT_DRIVER_H

#include "host/hypervisor/accel.h"
#include "host/hypervisor/libvirt_xml.h"

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <pthread.h>

struct libvirt_driver {
    struct hypervisor head;
    struct arena *arena; /* strings of the configuration */
    struct hypervisor_config config;
    struct domain_host host; /* complete once host_known */
    struct cpu_facts cpu;
    const char *no_kvm; /* why not, or null */

    pthread_mutex_t caps_lock;      /* asking may take a minute; others wait for the answer */
    bool host_known;
    struct strv machine_types;

    /* Events come in on libvirt's thread, with locks of libvirt's held: it must never wait for
     * 'lock', under which we call libvirt. */
    pthread_mutex_t wait_lock;
    pthread_cond_t changed;         /* an event came in: those who wait look again */

    pthread_mutex_t lock;           /* guards what follows */
    virConnectPtr conn;
    int events[8];                  /* callbacks of that connection */
    size_t n_events;
    bool was_connected;
    usec_t retry_at;
};

static inline struct libvirt_driver *driver_of(struct hypervisor *hv)
{
    return CONTAINER_OF(hv, struct libvirt_driver, head);
}

static inline void conn_closep(virConnectPtr *c)
{
    if (*c)
        virConnectClose(*c);
}

static inline void dom_freep(virDomainPtr *d)
{
    if (*d)
        virDomainFree(*d);
}

static inline void xmldoc_freep(xmlDocPtr *d)
{
    if (*d)
        xmlFreeDoc(*d);
}

/* A reference to a live connection; -ENOTCONN while there is none. */
int driver_conn(struct libvirt_driver *d, virConnectPtr *ret);
/* The domain of a server; -ENOENT, -ENOTCONN. */
int driver_domain(struct libvirt_driver *d, const char *id, virDomainPtr *ret);
/* Fills d->host with what the emulator can; slow the first time. */
int driver_caps(struct libvirt_driver *d);
/* What the last failed call of this thread means, as hypervisor.h has it. With 'fault' the
 * daemon's sentence becomes a fault; without, it is -EIO and a line in the debug log. */
int driver_error(const char *what, struct fault *fault);
/* Wakes those who wait. */
void driver_wake(struct libvirt_driver *d);
/* Waits until an event came in or 'most' has passed. */
void driver_wait(struct libvirt_driver *d, usec_t most);
int domain_state_get(virDomainPtr dom, enum domain_state *ret, bool *ret_io_error);

/* The domain's XML, parsed. 'flags' as virDomainGetXMLDesc has them. */
int domain_doc(virDomainPtr dom, unsigned flags, xmlDocPtr *ret);
/* Attribute or text of the first match, in the arena, or null. */
const char *doc_value(xmlNodePtr from, const char *xpath, struct arena *a);
/* Makes the secrets that a disk's XML refers to. */
int disk_secrets_define(virConnectPtr conn, const struct server_disk *d, struct arena *a,
                        struct fault *fault);
void disk_secrets_forget(virConnectPtr conn, const char *disk_id, struct arena *a);
/* Reads domain capabilities into 'h' (spice, uefi, secure_boot, tpm, virtio_vga, emulator). */
int caps_parse(const char *xml, struct arena *a, struct domain_host *h);

/* libvirt_observe.c */
int libvirt_facts(struct hypervisor *hv, struct arena *a, struct host_facts *ret);
int libvirt_list(struct hypervisor *hv, struct arena *a, struct domain_list *ret);
int libvirt_observe(struct hypervisor *hv, const char *id, struct arena *a, struct domain_info *ret);
int libvirt_diagnostics(struct hypervisor *hv, const char *id, struct arena *a,
                        struct domain_diagnostics *ret, struct fault *fault);

/* libvirt_live.c */
int libvirt_attach_disk(struct hypervisor *hv, const char *id, const struct server_disk *disk,
                        struct arena *a, const char **ret_device, struct fault *fault);
int libvirt_detach_disk(struct hypervisor *hv, const char *id, const char *disk_id, struct fault *fault);
int libvirt_attach_nic(struct hypervisor *hv, const char *id, const struct server_nic *nic,
                       struct fault *fault);
int libvirt_detach_nic(struct hypervisor *hv, const char *id, const char *mac, struct fault *fault);
int libvirt_extend_disk(struct hypervisor *hv, const char *id, const char *disk_id, int64_t bytes,
                        struct fault *fault);
int libvirt_limit_disk(struct hypervisor *hv, const char *id, const char *disk_id, const struct disk_qos *qos,
                       struct fault *fault);
int libvirt_snapshot_disk(struct hypervisor *hv, const char *id, const char *disk_id, const char *path,
                          const char *format, bool quiesce, bool (*progress)(void *cookie, int percent),
                          void *cookie, struct fault *fault);
/* Thaws guests that a killed agent left frozen. */
void libvirt_thaw_left(struct libvirt_driver *d, virConnectPtr c);
int libvirt_set_password(struct hypervisor *hv, const char *id, const char *user, const char *password,
                         struct fault *fault);
int libvirt_inject_nmi(struct hypervisor *hv, const char *id, struct fault *fault);
int libvirt_screenshot(struct hypervisor *hv, const char *id, int fd, const char **ret_mime,
                       struct fault *fault);

/* libvirt_migrate.c */
int libvirt_migrate(struct hypervisor *hv, const char *id, const struct migrate_target *target,
                    bool (*progress)(void *cookie, int percent), void *cookie, struct fault *fault);

/* console_log.c: files that QEMU appends to. */
int console_log_read(const char *path, size_t max, struct arena *a, const char **ret, size_t *ret_n);
/* Frees what is older than the last 'keep' bytes once it is as much again. */
int console_log_trim(const char *path, int64_t keep);

#endif
