/*
 * Domain XML: what libvirt is told of a server.
 *
 * Pure functions of a spec and of what the host can do; they ask and change nothing, so
 * that tests compare their output with files. Trees are built with libxml2: whatever a
 * tenant writes into a name ends as text, never as markup.
 */
#ifndef YUNDUO_HOST_HYPERVISOR_LIBVIRT_XML_H
#define YUNDUO_HOST_HYPERVISOR_LIBVIRT_XML_H

#include "host/hypervisor/hypervisor.h"

#include <libxml/tree.h>

#define DOMAIN_XMLNS "urn:yunduo:server:1"
#define DISK_ALIAS_PREFIX "ua-disk-"
#define NIC_ALIAS_PREFIX "ua-nic-"

/* What the XML depends on beside the spec: the configuration, and what the emulator has. */
struct domain_host {
    const char *host_name, *name_prefix, *run_dir, *log_dir, *console_host;
    const char *arch;     /* "x86_64" */
    const char *emulator; /* null: libvirt's choice */
    bool kvm;             /* else TCG */
    int64_t tcg_cache_mb;
    const char *machine; /* default type */
    const char *cpu_mode, *cpu_model;
    bool spice; /* wanted and there */
    bool uefi, secure_boot, tpm;
    bool virtio_vga;
};

/* A tree under construction. Failures (memory) stick, the end looks at them. */
struct xml {
    xmlDocPtr doc;
    bool failed;
};

/* A new element; under null: the root. Null when failed, which all functions accept. */
xmlNodePtr xml_el(struct xml *x, xmlNodePtr parent, const char *name);
/* An element with text. Bytes that XML can't carry are left out. */
xmlNodePtr xml_text(struct xml *x, xmlNodePtr parent, const char *name, const char *text);
void xml_attr(struct xml *x, xmlNodePtr node, const char *name, const char *value);
void xml_attrf(struct xml *x, xmlNodePtr node, const char *name, const char *format, ...) _printf_(4, 5);
/* The text, malloc'ed, without the XML declaration; null when failed. Frees the tree. */
char *xml_finish(struct xml *x);
void xml_done(struct xml *x);

/* Names and places that both the XML and the driver know. In the arena. */
const char *domain_name(const struct domain_host *h, const char *id, struct arena *a);
const char *domain_log_path(const struct domain_host *h, const char *id, struct arena *a);
const char *domain_serial_path(const struct domain_host *h, const char *id, struct arena *a);
/* UUID under which libvirt keeps a secret of a disk; 'purpose' is "auth" or "luks". */
const char *disk_secret_uuid(const char *disk_id, const char *purpose, struct arena *a);
/* The id in an alias that disk_xml() made, or null. */
const char *disk_alias_id(const char *alias);

/* The value of a flavor's extra spec or, second, of an image property, or null. */
const char *spec_knob(const struct server_spec *s, const char *extra, const char *property);
bool knob_true(const char *value);
/* The machine type that the server gets. */
const char *domain_machine(const struct server_spec *s, const struct domain_host *h);
bool domain_is_q35(const struct server_spec *s, const struct domain_host *h);

/* What define() is given. 'ret' is malloc'ed. 0, FAULT or -ENOMEM. */
int domain_xml(const struct server_spec *s, const struct domain_host *h, struct arena *a, char **ret,
               struct fault *fault);

/* Device names that are taken, to choose the next. */
struct disk_names {
    struct strv taken;
};
/* The name a disk gets: its own where that is free and fits the bus, else the next. */
const char *disk_name_choose(struct disk_names *names, const char *wanted, const char *bus, struct arena *a);
/* The bus of a disk of this server. */
const char *disk_bus(const struct server_disk *d, const struct strmap *image_properties, bool q35);

/* One device as attachDevice takes it. */
int disk_xml(const struct server_disk *d, const char *device, const char *bus, const struct domain_host *h,
             struct arena *a, char **ret, struct fault *fault);
int nic_xml(const struct server_nic *n, const char *model, const struct domain_host *h, char **ret,
            struct fault *fault);

/* For libvirt_xml.c: puts the devices under <devices>. */
int devices_build(struct xml *x, xmlNodePtr devices, const struct server_spec *s, const struct domain_host *h,
                  struct arena *a, struct fault *fault);

#endif
