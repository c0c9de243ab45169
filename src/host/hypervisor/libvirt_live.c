/*
 * Changes to a running guest: devices, limits, copies of disks, the guest agent, the screen.
 *
 * A change is made to the definition and to the machine. Either may have been done by an
 * earlier call that was cut off, so each side is looked at on its own.
 *
 * Copies of disks are made by QEMU's backup job (a full push to a new file). It gives the
 * disk as it was at one moment and never touches the disk's own chain. The other way,
 * an overlay and a block commit, is the one that once wrote a guest's data into the base
 * image which all guests share: commits without a named base go down to the very bottom.
 * There is no block commit anywhere in this driver.
 */
#include "host/hypervisor/libvirt_driver.h"

#include "base/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

LOG_MODULE("host.libvirt");

enum { AGENT_SECONDS = 30 };
#define FREEZE_NOTE ".frozen"

/* ---- finding ------------------------------------------------------------------------- */

/* The device element of that kind whose value at 'xpath' is 'value'; null: none. */
static xmlNodePtr device_find(xmlDocPtr doc, const char *kind, const char *xpath, const char *value,
                              struct arena *a)
{
    for (xmlNodePtr dev = xmlDocGetRootElement(doc)->children; dev; dev = dev->next) {
        if (!str_eq((const char *)dev->name, "devices"))
            continue;
        for (xmlNodePtr n = dev->children; n; n = n->next) {
            const char *v = str_eq((const char *)n->name, kind) ? doc_value(n, xpath, a) : NULL;
            if (v && strcasecmp(v, value) == 0)
                return n;
        }
    }
    return NULL;
}

/* What the first device of that kind has: what the server's image asked for, and so what the next
 * one gets that has no wish of its own. */
static const char *like_first(xmlDocPtr doc, const char *kind, const char *xpath, struct arena *a)
{
    for (xmlNodePtr dev = xmlDocGetRootElement(doc)->children; dev; dev = dev->next)
        for (xmlNodePtr n = str_eq((const char *)dev->name, "devices") ? dev->children : NULL; n;
             n = n->next) {
            const char *v = str_eq((const char *)n->name, kind) ? doc_value(n, xpath, a) : NULL;
            if (v)
                return v;
        }
    return NULL;
}

/* Where a device stands: in the definition, in the running machine. */
struct place {
    bool active;
    bool in_config, in_live;
    const char *device; /* name of a disk */
    const char *alias;
};

static int place_find(virDomainPtr dom, const char *kind, const char *xpath, const char *value,
                      struct arena *a, struct place *ret)
{
    struct place p = { .active = virDomainIsActive(dom) == 1 };
    _cleanup_(xmldoc_freep) xmlDocPtr config = NULL;
    int r = domain_doc(dom, VIR_DOMAIN_XML_INACTIVE, &config);
    if (r < 0)
        return r;
    xmlNodePtr n = device_find(config, kind, xpath, value, a);
    if (n) {
        p.in_config = true;
        p.device = doc_value(n, "target/@dev", a);
        p.alias = doc_value(n, "alias/@name", a);
    }
    if (p.active) {
        _cleanup_(xmldoc_freep) xmlDocPtr live = NULL;
        r = domain_doc(dom, 0, &live);
        if (r < 0)
            return r;
        n = device_find(live, kind, xpath, value, a);
        if (n) {
            p.in_live = true;
            p.device = doc_value(n, "target/@dev", a);
            p.alias = doc_value(n, "alias/@name", a);
        }
    }
    if (arena_failed(a))
        return -ENOMEM;
    *ret = p;
    return 0;
}

static int disk_find(virDomainPtr dom, const char *disk_id, struct arena *a, struct place *ret)
{
    const char *alias = arena_printf(a, DISK_ALIAS_PREFIX "%s", disk_id);
    return alias ? place_find(dom, "disk", "alias/@name", alias, a, ret) : -ENOMEM;
}

/* ---- secrets ------------------------------------------------------------------------- */

static int secret_define(virConnectPtr c, const char *uuid, const char *usage_type, const char *usage,
                         const char *value, size_t n, struct fault *fault)
{
    _cleanup_(xml_done) struct xml x = { 0 };
    xmlNodePtr s = xml_el(&x, NULL, "secret");
    xml_attr(&x, s, "ephemeral", "yes");
    xml_attr(&x, s, "private", "yes");
    (void)xml_text(&x, s, "uuid", uuid);
    xmlNodePtr u = xml_el(&x, s, "usage");
    xml_attr(&x, u, "type", usage_type);
    (void)xml_text(&x, u,
                   STREQ(usage_type, "volume")  ? "volume"
                   : STREQ(usage_type, "iscsi") ? "target"
                                                : "name",
                   usage);
    _cleanup_(freep) char *xml = xml_finish(&x);
    if (!xml)
        return -ENOMEM;
    virSecretPtr secret = virSecretDefineXML(c, xml, 0);
    if (!secret)
        return driver_error("secret", fault);
    int r =
        virSecretSetValue(secret, (const unsigned char *)value, n, 0) < 0 ? driver_error("secret", fault) : 0;
    virSecretFree(secret);
    return r;
}

int disk_secrets_define(virConnectPtr c, const struct server_disk *d, struct arena *a, struct fault *fault)
{
    const struct disk_source *src = d->source;
    if (src && !str_empty(src->user) && !str_empty(src->secret)) {
        bool ceph = str_eq(src->driver, "rbd");
        /* Ceph keys are given as base64 and kept by libvirt as bytes. */
        _cleanup_(freep) unsigned char *raw = NULL;
        const char *value = src->secret;
        size_t n = strlen(value);
        if (ceph) {
            raw = malloc(n + 1);
            if (!raw)
                return -ENOMEM;
            size_t out = 0;
            unsigned bits = 0, have = 0;
            for (const char *p = value; *p && *p != '='; p++) {
                static const char ALPHABET[] =
                    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
                const char *at = strchr(ALPHABET, *p);
                if (!at)
                    continue;
                bits = bits << 6 | (unsigned)(at - ALPHABET);
                have += 6;
                if (have >= 8)
                    raw[out++] = (unsigned char)(bits >> (have -= 8) & 0xff);
            }
            value = (const char *)raw;
            n = out;
        }
        int r = secret_define(c, disk_secret_uuid(d->id, "auth", a), ceph ? "ceph" : "iscsi",
                              arena_printf(a, "yunduo-auth-%s", d->id), value, n, fault);
        if (r)
            return r;
    }
    if (d->encryption_secret && d->encryption_format)
        return secret_define(c, disk_secret_uuid(d->id, "luks", a), "volume",
                             arena_printf(a, "yunduo-luks-%s", d->id), d->encryption_secret,
                             strlen(d->encryption_secret), fault);
    return 0;
}

void disk_secrets_forget(virConnectPtr c, const char *disk_id, struct arena *a)
{
    static const char *const PURPOSES[] = { "auth", "luks" };
    for (size_t i = 0; i < ARRAY_SIZE(PURPOSES); i++) {
        const char *uuid = disk_secret_uuid(disk_id, PURPOSES[i], a);
        virSecretPtr s = uuid ? virSecretLookupByUUIDString(c, uuid) : NULL;
        if (s) {
            (void)virSecretUndefine(s);
            virSecretFree(s);
        }
    }
}

/* ---- disks and ports ------------------------------------------------------------------ */

int libvirt_attach_disk(struct hypervisor *hv, const char *id, const struct server_disk *disk,
                        struct arena *a, const char **ret_device, struct fault *fault)
{
    struct libvirt_driver *d = driver_of(hv);
    _cleanup_(dom_freep) virDomainPtr dom = NULL;
    int r = driver_domain(d, id, &dom);
    if (r < 0)
        return r;
    struct place p;
    r = disk_find(dom, disk->id, a, &p);
    if (r < 0)
        return r;
    unsigned flags =
        (p.in_config ? 0 : VIR_DOMAIN_AFFECT_CONFIG) | (p.active && !p.in_live ? VIR_DOMAIN_AFFECT_LIVE : 0);
    if (!flags) {
        *ret_device = p.device;
        return 0;
    }

    /* Names of both sides are taken; a half-made attachment keeps the one it has. */
    struct disk_names names = { 0 };
    const char *usual = NULL;
    for (int side = 0; side < (p.active ? 2 : 1); side++) {
        _cleanup_(xmldoc_freep) xmlDocPtr doc = NULL;
        r = domain_doc(dom, side ? 0 : VIR_DOMAIN_XML_INACTIVE, &doc);
        if (r < 0)
            return r;
        usual = like_first(doc, "disk", "self::*[@device='disk']/target/@bus", a);
        for (xmlNodePtr dev = xmlDocGetRootElement(doc)->children; dev; dev = dev->next)
            for (xmlNodePtr n = str_eq((const char *)dev->name, "devices") ? dev->children : NULL; n;
                 n = n->next)
                if (str_eq((const char *)n->name, "disk"))
                    strv_add(a, &names.taken, doc_value(n, "target/@dev", a));
    }
    /* Only these two take disks while the guest runs. */
    const char *bus = disk->bus ? disk->bus : str_eq(usual, "scsi") ? "scsi" : "virtio";
    const char *device = p.device ? p.device : disk_name_choose(&names, disk->device, bus, a);
    if (!device)
        return fault_set(fault, 409, "TooManyDiskDevices", "No device name is left for disk %s.", disk->id);
    _cleanup_(conn_closep) virConnectPtr c = NULL;
    r = driver_conn(d, &c);
    if (r == 0)
        r = disk_secrets_define(c, disk, a, fault);
    if (r)
        return r;
    _cleanup_(freep) char *xml = NULL;
    r = disk_xml(disk, device, bus, &d->host, a, &xml, fault);
    if (r)
        return r;
    if (virDomainAttachDeviceFlags(dom, xml, flags) < 0)
        return driver_error("attach disk", fault);
    *ret_device = device;
    return 0;
}

/* Takes a device out of both sides and waits a while for the guest to let go. */
static int device_remove(struct libvirt_driver *d, virDomainPtr dom, const char *kind, const char *xpath,
                         const char *value, const char *what, struct fault *fault)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    struct place p = { 0 };
    int r = a ? place_find(dom, kind, xpath, value, a, &p) : -ENOMEM;
    if (r < 0)
        return r;
    if (p.in_live && p.alias && virDomainDetachDeviceAlias(dom, p.alias, VIR_DOMAIN_AFFECT_LIVE) < 0)
        log_debug("guest was asked before", KV("device", value), KV("message", virGetLastErrorMessage()));
    if (p.in_config && p.alias && virDomainDetachDeviceAlias(dom, p.alias, VIR_DOMAIN_AFFECT_CONFIG) < 0) {
        r = driver_error("detach", fault);
        if (r && r != -ENOENT)
            return r;
    }
    usec_t end = clock_mono() + SECONDS(8);
    while (p.in_live && clock_mono() < end) {
        arena_reset(a);
        r = place_find(dom, kind, xpath, value, a, &p);
        if (r < 0)
            return r;
        if (p.in_live)
            driver_wait(d, 250 * USEC_PER_MSEC);
    }
    if (p.in_live)
        return fault_set(fault, 409, "DeviceDetachFailed", "The guest has not let go of %s %s yet.", what,
                         value);
    return 0;
}

int libvirt_detach_disk(struct hypervisor *hv, const char *id, const char *disk_id, struct fault *fault)
{
    struct libvirt_driver *d = driver_of(hv);
    _cleanup_(dom_freep) virDomainPtr dom = NULL;
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    int r = a ? driver_domain(d, id, &dom) : -ENOMEM;
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    const char *alias = arena_printf(a, DISK_ALIAS_PREFIX "%s", disk_id);
    r = alias ? device_remove(d, dom, "disk", "alias/@name", alias, "disk", fault) : -ENOMEM;
    _cleanup_(conn_closep) virConnectPtr c = NULL;
    if (r == 0 && driver_conn(d, &c) == 0)
        disk_secrets_forget(c, disk_id, a);
    return r;
}

int libvirt_attach_nic(struct hypervisor *hv, const char *id, const struct server_nic *nic,
                       struct fault *fault)
{
    struct libvirt_driver *d = driver_of(hv);
    _cleanup_(dom_freep) virDomainPtr dom = NULL;
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    int r = a ? driver_domain(d, id, &dom) : -ENOMEM;
    if (r < 0)
        return r;
    struct place p;
    r = place_find(dom, "interface", "mac/@address", nic->mac, a, &p);
    if (r < 0)
        return r;
    unsigned flags =
        (p.in_config ? 0 : VIR_DOMAIN_AFFECT_CONFIG) | (p.active && !p.in_live ? VIR_DOMAIN_AFFECT_LIVE : 0);
    if (!flags)
        return 0;
    _cleanup_(xmldoc_freep) xmlDocPtr doc = NULL;
    _cleanup_(freep) char *xml = NULL;
    r = domain_doc(dom, VIR_DOMAIN_XML_INACTIVE, &doc);
    if (r < 0)
        return r;
    r = nic_xml(nic, like_first(doc, "interface", "model/@type", a), &d->host, &xml, fault);
    if (r)
        return r;
    return virDomainAttachDeviceFlags(dom, xml, flags) < 0 ? driver_error("attach port", fault) : 0;
}

int libvirt_detach_nic(struct hypervisor *hv, const char *id, const char *mac, struct fault *fault)
{
    struct libvirt_driver *d = driver_of(hv);
    _cleanup_(dom_freep) virDomainPtr dom = NULL;
    int r = driver_domain(d, id, &dom);
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    return device_remove(d, dom, "interface", "mac/@address", mac, "the port with address", fault);
}

int libvirt_extend_disk(struct hypervisor *hv, const char *id, const char *disk_id, int64_t bytes,
                        struct fault *fault)
{
    _cleanup_(dom_freep) virDomainPtr dom = NULL;
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    struct place p;
    int r = a ? driver_domain(driver_of(hv), id, &dom) : -ENOMEM;
    if (r == 0)
        r = disk_find(dom, disk_id, a, &p);
    if (r < 0)
        return r;
    if (!p.in_live)
        return 0;
    return virDomainBlockResize(dom, p.device, (unsigned long long)bytes, VIR_DOMAIN_BLOCK_RESIZE_BYTES) < 0
               ? driver_error("resize disk", fault)
               : 0;
}

int libvirt_limit_disk(struct hypervisor *hv, const char *id, const char *disk_id, const struct disk_qos *q,
                       struct fault *fault)
{
    _cleanup_(dom_freep) virDomainPtr dom = NULL;
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    struct place p;
    int r = a ? driver_domain(driver_of(hv), id, &dom) : -ENOMEM;
    if (r == 0)
        r = disk_find(dom, disk_id, a, &p);
    if (r < 0)
        return r;
    if (!p.in_live && !p.in_config)
        return -ENOENT;
    const struct {
        const char *name;
        int64_t value;
    } rows[] = {
        { VIR_DOMAIN_BLOCK_IOTUNE_TOTAL_BYTES_SEC, q->total_bytes },
        { VIR_DOMAIN_BLOCK_IOTUNE_READ_BYTES_SEC, q->read_bytes },
        { VIR_DOMAIN_BLOCK_IOTUNE_WRITE_BYTES_SEC, q->write_bytes },
        { VIR_DOMAIN_BLOCK_IOTUNE_TOTAL_IOPS_SEC, q->total_iops },
        { VIR_DOMAIN_BLOCK_IOTUNE_READ_IOPS_SEC, q->read_iops },
        { VIR_DOMAIN_BLOCK_IOTUNE_WRITE_IOPS_SEC, q->write_iops },
    };
    virTypedParameterPtr params = NULL;
    int n = 0, max = 0;
    r = 0;
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(rows); i++)
        if (virTypedParamsAddULLong(&params, &n, &max, rows[i].name, (unsigned long long)rows[i].value) < 0)
            r = -ENOMEM;
    unsigned flags = (p.in_config ? VIR_DOMAIN_AFFECT_CONFIG : 0) | (p.in_live ? VIR_DOMAIN_AFFECT_LIVE : 0);
    if (r == 0 && virDomainSetBlockIoTune(dom, p.device, params, n, flags) < 0)
        r = driver_error("limit disk", fault);
    virTypedParamsFree(params, n);
    return r;
}

/* The agent in the guest is the tenant's: it may never answer, and must not keep a thread. */
static void agent_limit(virDomainPtr dom)
{
    (void)virDomainAgentSetResponseTimeout(dom, AGENT_SECONDS, 0);
}

/* ---- copies of disks ------------------------------------------------------------------ */

static char *backup_xml(virDomainPtr dom, const char *device, const char *path, const char *format,
                        struct arena *a)
{
    _cleanup_(xmldoc_freep) xmlDocPtr doc = NULL;
    _cleanup_(xml_done) struct xml x = { 0 };
    if (domain_doc(dom, 0, &doc) < 0)
        return NULL;
    xmlNodePtr b = xml_el(&x, NULL, "domainbackup");
    xml_attr(&x, b, "mode", "push");
    xmlNodePtr disks = xml_el(&x, b, "disks");
    for (xmlNodePtr dev = xmlDocGetRootElement(doc)->children; dev; dev = dev->next)
        for (xmlNodePtr n = str_eq((const char *)dev->name, "devices") ? dev->children : NULL; n;
             n = n->next) {
            const char *name = str_eq((const char *)n->name, "disk") ? doc_value(n, "target/@dev", a) : NULL;
            if (!name)
                continue;
            xmlNodePtr k = xml_el(&x, disks, "disk");
            xml_attr(&x, k, "name", name);
            bool it = STREQ(name, device);
            xml_attr(&x, k, "backup", it ? "yes" : "no");
            if (!it)
                continue;
            xml_attr(&x, k, "type", "file");
            xml_attr(&x, xml_el(&x, k, "target"), "file", path);
            xml_attr(&x, xml_el(&x, k, "driver"), "type", format);
        }
    return xml_finish(&x);
}

static int job_wait(struct libvirt_driver *d, virDomainPtr dom, bool (*progress)(void *, int), void *cookie,
                    struct fault *fault)
{
    int last = -1;
    bool cancelled = false;
    for (;;) {
        virDomainJobInfo job;
        if (virDomainGetJobInfo(dom, &job) < 0)
            return driver_error("job", fault);
        if (job.type == VIR_DOMAIN_JOB_NONE)
            break;
        int percent = job.dataTotal ? (int)(job.dataProcessed * 100 / job.dataTotal) : 0;
        if (progress && percent != last && !cancelled && !progress(cookie, percent)) {
            cancelled = true;
            (void)virDomainAbortJob(dom);
        }
        last = percent;
        driver_wait(d, 250 * USEC_PER_MSEC);
    }
    if (cancelled)
        return -ECANCELED;
    int type = VIR_DOMAIN_JOB_NONE, n = 0;
    virTypedParameterPtr params = NULL;
    if (virDomainGetJobStats(dom, &type, &params, &n, VIR_DOMAIN_JOB_STATS_COMPLETED) < 0)
        return driver_error("job", fault);
    int good = 0;
    const char *message = NULL;
    bool known = virTypedParamsGetBoolean(params, n, VIR_DOMAIN_JOB_SUCCESS, &good) == 1;
    (void)virTypedParamsGetString(params, n, VIR_DOMAIN_JOB_ERRMSG, &message);
    int r =
        type == VIR_DOMAIN_JOB_COMPLETED && (!known || good)
            ? 0
            : fault_set(fault, 500, "HypervisorError", "The copy failed: %s", str_or(message, "cancelled"));
    virTypedParamsFree(params, n);
    return r;
}

/* A guest whose file systems are frozen hangs until somebody thaws them, and that somebody may be
 * killed. So a note lies in the run folder meanwhile, and the next start of the agent thaws. */
static const char *freeze_note(const struct libvirt_driver *d, const char *id, struct arena *a)
{
    return arena_printf(a, "%s/%s" FREEZE_NOTE, d->host.run_dir, id);
}

static void guest_thaw(struct libvirt_driver *d, virDomainPtr dom, const char *id, struct arena *a)
{
    const char *note = freeze_note(d, id, a);
    if (virDomainFSThaw(dom, NULL, 0, 0) < 0)
        log_warning("the guest did not thaw its file systems", KV("server", id),
                    KV("message", virGetLastErrorMessage()));
    if (note)
        (void)unlink(note);
}

static int guest_freeze(struct libvirt_driver *d, virDomainPtr dom, const char *id, struct arena *a,
                        struct fault *fault)
{
    const char *note = freeze_note(d, id, a);
    int fd = note ? open(note, O_WRONLY | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (fd < 0)
        return note ? -errno : -ENOMEM;
    close(fd);
    agent_limit(dom);
    if (virDomainFSFreeze(dom, NULL, 0, 0) >= 0)
        return 0;
    int r = driver_error("freeze", fault);
    /* An agent that answers late may have frozen after all. */
    guest_thaw(d, dom, id, a);
    return r;
}

void libvirt_thaw_left(struct libvirt_driver *d, virConnectPtr c)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    DIR *dir = a ? opendir(d->host.run_dir) : NULL;
    if (!dir)
        return;
    for (const struct dirent *e; (e = readdir(dir));) {
        if (!str_ends(e->d_name, FREEZE_NOTE))
            continue;
        const char *id = arena_strndup(a, e->d_name, strlen(e->d_name) - strlen(FREEZE_NOTE));
        _cleanup_(dom_freep) virDomainPtr dom = id ? virDomainLookupByUUIDString(c, id) : NULL;
        if (dom && virDomainIsActive(dom) == 1) {
            agent_limit(dom);
            guest_thaw(d, dom, id, a);
        } else if (id) {
            (void)unlink(freeze_note(d, id, a));
        }
    }
    closedir(dir);
}

int libvirt_snapshot_disk(struct hypervisor *hv, const char *id, const char *disk_id, const char *path,
                          const char *format, bool quiesce, bool (*progress)(void *cookie, int percent),
                          void *cookie, struct fault *fault)
{
    struct libvirt_driver *d = driver_of(hv);
    _cleanup_(dom_freep) virDomainPtr dom = NULL;
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    struct place p;
    int r = a ? driver_domain(d, id, &dom) : -ENOMEM;
    if (r == 0)
        r = disk_find(dom, disk_id, a, &p);
    if (r < 0)
        return r;
    if (!p.active)
        return -EINVAL;
    if (!p.in_live)
        return -ENOENT;
    _cleanup_(freep) char *xml = backup_xml(dom, p.device, path, format, a);
    if (!xml)
        return -ENOMEM;
    /* Left by an agent that was killed in the middle: nobody waits for that copy any more. */
    virDomainJobInfo job;
    if (virDomainGetJobInfo(dom, &job) == 0 && job.type != VIR_DOMAIN_JOB_NONE) {
        (void)virDomainAbortJob(dom);
        for (usec_t end = clock_mono() + SECONDS(10); clock_mono() < end;) {
            if (virDomainGetJobInfo(dom, &job) < 0 || job.type == VIR_DOMAIN_JOB_NONE)
                break;
            driver_wait(d, 250 * USEC_PER_MSEC);
        }
    }
    (void)unlink(path);
    if (quiesce) {
        r = guest_freeze(d, dom, id, a, fault);
        if (r)
            return r;
    }
    r = virDomainBackupBegin(dom, xml, NULL, 0) < 0 ? driver_error("backup", fault) : 0;
    /* The moment is taken; the guest need not wait for the bytes. */
    if (quiesce)
        guest_thaw(d, dom, id, a);
    if (r == 0)
        r = job_wait(d, dom, progress, cookie, fault);
    if (r)
        (void)unlink(path);
    return r;
}

/* ---- inside the guest, and its screen -------------------------------------------------- */

int libvirt_set_password(struct hypervisor *hv, const char *id, const char *user, const char *password,
                         struct fault *fault)
{
    _cleanup_(dom_freep) virDomainPtr dom = NULL;
    int r = driver_domain(driver_of(hv), id, &dom);
    if (r < 0)
        return r;
    agent_limit(dom);
    return virDomainSetUserPassword(dom, str_or(user, "root"), password, 0) < 0
               ? driver_error("password", fault)
               : 0;
}

int libvirt_inject_nmi(struct hypervisor *hv, const char *id, struct fault *fault)
{
    _cleanup_(dom_freep) virDomainPtr dom = NULL;
    int r = driver_domain(driver_of(hv), id, &dom);
    if (r < 0)
        return r;
    return virDomainInjectNMI(dom, 0) < 0 ? driver_error("nmi", fault) : 0;
}

static int stream_to_fd(virStreamPtr st _unused_, const char *data, size_t n, void *opaque)
{
    const int fd = *(int *)opaque;
    size_t done = 0;
    while (done < n) {
        ssize_t k = write(fd, data + done, n - done);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return -1;
        done += (size_t)k;
    }
    return (int)n;
}

int libvirt_screenshot(struct hypervisor *hv, const char *id, int fd, const char **ret_mime,
                       struct fault *fault)
{
    struct libvirt_driver *d = driver_of(hv);
    _cleanup_(dom_freep) virDomainPtr dom = NULL;
    _cleanup_(conn_closep) virConnectPtr c = NULL;
    int r = driver_domain(d, id, &dom);
    if (r == 0)
        r = driver_conn(d, &c);
    if (r < 0)
        return r;
    virStreamPtr st = virStreamNew(c, 0);
    if (!st)
        return driver_error("stream", fault);
    _cleanup_(freep) char *mime = virDomainScreenshot(dom, st, 0, 0);
    if (!mime)
        r = driver_error("screenshot", fault);
    else if (virStreamRecvAll(st, stream_to_fd, &fd) < 0)
        r = driver_error("screenshot", fault);
    else if (virStreamFinish(st) < 0)
        r = driver_error("screenshot", fault);
    else
        *ret_mime = STREQ(mime, "image/png") ? "image/png" : "image/x-portable-pixmap";
    virStreamFree(st);
    return r;
}
