/*
 * The devices of a domain: disks, ports, consoles, and what makes a guest comfortable.
 *
 * Everything is virtio unless the image says otherwise. Each disk carries an alias of ours
 * with its id, by which it is found again in the running domain: device names are only what
 * the tenant was told, and serials may be chosen by the tenant.
 *
 * The serial console is a unix socket, so that the console proxy can connect, with a log
 * file beside it. The log is opened for appending, always: with append='off' libvirt
 * empties it on every start and restore, and cutting it from outside is safe only while
 * QEMU appends.
 */
#include "host/hypervisor/libvirt_xml.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

/* ---- names of disks ------------------------------------------------------------------ */

static const char *bus_prefix(const char *bus)
{
    if (STREQ(bus, "virtio"))
        return "vd";
    if (STREQ(bus, "ide"))
        return "hd";
    if (STREQ(bus, "fdc"))
        return "fd";
    return "sd";
}

static const char *image_knob(const struct strmap *properties, const char *key)
{
    const char *v = properties ? strmap_get(properties, key) : NULL;
    return str_empty(v) ? NULL : v;
}

const char *disk_bus(const struct server_disk *d, const struct strmap *properties, bool q35)
{
    if (d->bus)
        return d->bus;
    bool cdrom = str_eq(d->device_type, "cdrom") || str_eq(d->kind, DISK_CONFIG) || str_eq(d->kind, DISK_ISO);
    const char *asked = image_knob(properties, cdrom ? "hw_cdrom_bus" : "hw_disk_bus");
    if (!asked && str_eq(d->kind, DISK_RESCUE))
        asked = image_knob(properties, "hw_rescue_bus");
    if (asked)
        return asked;
    if (cdrom)
        return q35 ? "sata" : "ide";
    return "virtio";
}

/* "vda" for (vd, 0), "vdaa" for (vd, 26). */
static const char *name_at(const char *prefix, unsigned i, struct arena *a)
{
    if (i < 26)
        return arena_printf(a, "%s%c", prefix, 'a' + (int)i);
    return arena_printf(a, "%s%c%c", prefix, 'a' + (int)(i / 26 - 1), 'a' + (int)(i % 26));
}

const char *disk_name_choose(struct disk_names *names, const char *wanted, const char *bus, struct arena *a)
{
    const char *prefix = bus_prefix(bus);
    if (str_starts(wanted, "/dev/"))
        wanted += 5;
    /* The letter is kept where only the prefix doesn't fit: "vdb" on SCSI becomes "sdb". */
    if (wanted && strlen(wanted) >= 3 && !str_starts(wanted, prefix))
        wanted = arena_printf(a, "%s%s", prefix, wanted + (str_starts(wanted, "xvd") ? 3 : 2));
    if (wanted && strlen(wanted) >= 3 && !strv_has(&names->taken, wanted)) {
        strv_add(a, &names->taken, wanted);
        return wanted;
    }
    for (unsigned i = 0; i < 26 * 27; i++) {
        const char *name = name_at(prefix, i, a);
        if (name && !strv_has(&names->taken, name)) {
            strv_add(a, &names->taken, name);
            return name;
        }
    }
    return NULL;
}

/* ---- one disk ------------------------------------------------------------------------ */

/* Aliases and serials may hold these characters only; ids do by themselves. */
static const char *name_clean(const char *s, struct arena *a)
{
    char *out = arena_strdup(a, s);
    for (char *p = out; p && *p; p++)
        if (!isalnum((unsigned char)*p) && *p != '-' && *p != '_')
            *p = '_';
    return out;
}

/* O_DIRECT is what keeps the host's page cache out; tmpfs and some others can't. */
static const char *cache_mode(const struct server_disk *d, const struct disk_source *src)
{
    if (d->cache)
        return d->cache;
    bool local = str_eq(src->driver, "file") || str_eq(src->driver, "block");
    if (d->multiattach || !local || !src->path)
        return "none";
    int fd = open(src->path, O_RDONLY | O_DIRECT | O_CLOEXEC);
    if (fd < 0)
        return "writeback";
    close(fd);
    return "none";
}

static void source_hosts(struct xml *x, xmlNodePtr source, const struct disk_source *src, const char *port)
{
    for (size_t i = 0; i < src->hosts.n; i++) {
        const char *h = src->hosts.v[i], *colon = strrchr(h, ':');
        bool has_port = colon && colon[1] && strspn(colon + 1, "0123456789") == strlen(colon + 1) &&
                        (h[0] == '[' ? colon[-1] == ']' : strchr(h, ':') == colon);
        size_t n = has_port ? (size_t)(colon - h) : strlen(h);
        const char *p = h;
        if (n > 2 && p[0] == '[' && p[n - 1] == ']') {
            p++;
            n -= 2;
        }
        xmlNodePtr host = xml_el(x, source, "host");
        xml_attrf(x, host, "name", "%.*s", (int)n, p);
        if (has_port || port)
            xml_attr(x, host, "port", has_port ? colon + 1 : port);
    }
}

static void source_auth(struct xml *x, xmlNodePtr parent, const struct server_disk *d, const char *type,
                        struct arena *a)
{
    if (str_empty(d->source->user) || str_empty(d->source->secret))
        return;
    xmlNodePtr auth = xml_el(x, parent, "auth");
    xml_attr(x, auth, "username", d->source->user);
    xmlNodePtr s = xml_el(x, auth, "secret");
    xml_attr(x, s, "type", type);
    xml_attr(x, s, "uuid", disk_secret_uuid(d->id, "auth", a));
}

static int build_source(struct xml *x, xmlNodePtr disk, const struct server_disk *d, struct arena *a,
                        struct fault *fault)
{
    const struct disk_source *src = d->source;
    xmlNodePtr s = xml_el(x, disk, "source");
    if (str_eq(src->driver, "file")) {
        xml_attr(x, s, "file", src->path);
    } else if (str_eq(src->driver, "block")) {
        xml_attr(x, s, "dev", src->path);
    } else if (str_eq(src->driver, "iscsi")) {
        xml_attr(x, s, "protocol", "iscsi");
        xml_attrf(x, s, "name", "%s/%lld", str_or(src->target, ""), (long long)src->lun);
        source_hosts(x, s, src, "3260");
        source_auth(x, s, d, "iscsi", a);
    } else if (str_eq(src->driver, "rbd")) {
        xml_attr(x, s, "protocol", "rbd");
        xml_attr(x, s, "name", src->target);
        source_hosts(x, s, src, NULL);
        if (src->config)
            xml_attr(x, xml_el(x, s, "config"), "file", src->config);
        source_auth(x, s, d, "ceph", a);
    } else if (str_eq(src->driver, "nfs")) {
        xml_attr(x, s, "protocol", "nfs");
        xml_attrf(x, s, "name", "%s/%s", str_or(src->target, ""), str_or(src->path, ""));
        source_hosts(x, s, src, NULL);
        xmlNodePtr who = xml_el(x, s, "identity");
        xml_attr(x, who, "user", str_or(src->user, "+0"));
        xml_attr(x, who, "group", "+0");
    } else {
        return fault_set(fault, 400, "InvalidVolume", "Disk %s: no way to reach a source of kind '%s'.",
                         d->id, str_or(src->driver, ""));
    }
    if (d->encryption_format && d->encryption_secret) {
        xmlNodePtr e = xml_el(x, s, "encryption");
        xml_attr(x, e, "format", str_starts(d->encryption_format, "luks") ? "luks" : d->encryption_format);
        xmlNodePtr sec = xml_el(x, e, "secret");
        xml_attr(x, sec, "type", "passphrase");
        xml_attr(x, sec, "uuid", disk_secret_uuid(d->id, "luks", a));
    }
    return 0;
}

static void build_qos(struct xml *x, xmlNodePtr disk, const struct disk_qos *q)
{
    const struct {
        const char *name;
        int64_t value;
    } rows[] = {
        { "total_bytes_sec", q->total_bytes },
        { "read_bytes_sec", q->read_bytes },
        { "write_bytes_sec", q->write_bytes },
        { "total_iops_sec", q->total_iops },
        { "read_iops_sec", q->read_iops },
        { "write_iops_sec", q->write_iops },
        { "total_bytes_sec_max", q->total_bytes_max },
        { "total_iops_sec_max", q->total_iops_max },
    };
    xmlNodePtr t = NULL;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (rows[i].value <= 0)
            continue;
        t = t ? t : xml_el(x, disk, "iotune");
        char text[24];
        snprintf(text, sizeof(text), "%lld", (long long)rows[i].value);
        (void)xml_text(x, t, rows[i].name, text);
    }
}

static int build_disk(struct xml *x, xmlNodePtr parent, const struct server_disk *d, const char *device,
                      const char *bus, struct arena *a, struct fault *fault)
{
    const struct disk_source *src = d->source;
    if (!src)
        return fault_set(fault, 500, "InvalidBDM", "Disk %s has no source.", d->id);
    const char *type =
        str_or(d->device_type, str_eq(d->kind, DISK_CONFIG) || str_eq(d->kind, DISK_ISO) ? "cdrom" : "disk");
    bool file = str_eq(src->driver, "file"), block = str_eq(src->driver, "block");
    bool read_only = d->read_only || STREQ(type, "cdrom");

    xmlNodePtr n = xml_el(x, parent, "disk");
    xml_attr(x, n, "type", file ? "file" : block ? "block" : "network");
    xml_attr(x, n, "device", type);

    xmlNodePtr drv = xml_el(x, n, "driver");
    const char *cache = cache_mode(d, src);
    xml_attr(x, drv, "name", "qemu");
    xml_attr(x, drv, "type", str_or(src->format, "raw"));
    xml_attr(x, drv, "cache", cache);
    const char *io = d->io ? d->io : block && STREQ(cache, "none") ? "native" : NULL;
    if (io)
        xml_attr(x, drv, "io", io);
    if (d->discard)
        xml_attr(x, drv, "discard", "unmap");
    int r = build_source(x, n, d, a, fault);
    if (r)
        return r;
    xmlNodePtr t = xml_el(x, n, "target");
    xml_attr(x, t, "dev", device);
    xml_attr(x, t, "bus", bus);
    if (d->qos)
        build_qos(x, n, d->qos);
    if (read_only)
        xml_el(x, n, "readonly");
    if (d->multiattach && !read_only)
        xml_el(x, n, "shareable");
    if (d->serial)
        (void)xml_text(x, n, "serial", name_clean(d->serial, a));
    if (d->boot_index >= 0)
        xml_attrf(x, xml_el(x, n, "boot"), "order", "%lld", (long long)d->boot_index + 1);
    xml_attrf(x, xml_el(x, n, "alias"), "name", DISK_ALIAS_PREFIX "%s", name_clean(d->id, a));
    return 0;
}

int disk_xml(const struct server_disk *d, const char *device, const char *bus,
             const struct domain_host *h _unused_, struct arena *a, char **ret, struct fault *fault)
{
    _cleanup_(xml_done) struct xml x = { 0 };
    /* A boot order can't be given to a running machine. */
    struct server_disk late = *d;
    late.boot_index = -1;
    int r = build_disk(&x, NULL, &late, device, bus, a, fault);
    if (r)
        return r;
    char *text = arena_failed(a) ? NULL : xml_finish(&x);
    if (!text)
        return -ENOMEM;
    *ret = text;
    return 0;
}

/* ---- one port ------------------------------------------------------------------------ */

static bool pci_address(struct xml *x, xmlNodePtr parent, const char *text, bool typed)
{
    unsigned d, b, s, f;
    if (!text || sscanf(text, "%4x:%2x:%2x.%1x", &d, &b, &s, &f) != 4)
        return false;
    xmlNodePtr n = xml_el(x, parent, "address");
    if (typed)
        xml_attr(x, n, "type", "pci");
    xml_attrf(x, n, "domain", "0x%04x", d);
    xml_attrf(x, n, "bus", "0x%02x", b);
    xml_attrf(x, n, "slot", "0x%02x", s);
    xml_attrf(x, n, "function", "0x%x", f);
    return true;
}

static void build_bandwidth(struct xml *x, xmlNodePtr nic, const struct strmap *extra)
{
    static const char *const SIDES[] = { "inbound", "outbound" };
    static const char *const KEYS[] = { "average", "peak", "burst" };
    xmlNodePtr bw = NULL;
    for (size_t i = 0; i < ARRAY_SIZE(SIDES); i++) {
        xmlNodePtr side = NULL;
        for (size_t k = 0; k < ARRAY_SIZE(KEYS); k++) {
            char key[64];
            snprintf(key, sizeof(key), "quota:vif_%s_%s", SIDES[i], KEYS[k]);
            const char *v = extra ? strmap_get(extra, key) : NULL;
            if (str_empty(v))
                continue;
            bw = bw ? bw : xml_el(x, nic, "bandwidth");
            side = side ? side : xml_el(x, bw, SIDES[i]);
            xml_attr(x, side, KEYS[k], v);
        }
    }
}

static int build_nic(struct xml *x, xmlNodePtr parent, const struct server_nic *n, const char *model,
                     int64_t queues, const struct strmap *extra, struct fault *fault)
{
    xmlNodePtr i = xml_el(x, parent, "interface");
    if (str_eq(n->type, "direct")) {
        xml_attr(x, i, "type", "hostdev");
        xml_attr(x, i, "managed", "yes");
        xml_attr(x, xml_el(x, i, "mac"), "address", n->mac);
        if (!pci_address(x, xml_el(x, i, "source"), n->pci_address, true))
            return fault_set(fault, 400, "PortNotUsable", "Port %s has no PCI address.", n->port_id);
        xml_attrf(x, xml_el(x, i, "alias"), "name", NIC_ALIAS_PREFIX "%s", n->port_id);
        return 0;
    }
    /* Without a bridge the tap exists already and is plugged: libvirt must neither make it
     * nor take it away, or the firewall in front of it would be late. */
    xml_attr(x, i, "type", n->bridge ? "bridge" : "ethernet");
    xml_attr(x, xml_el(x, i, "mac"), "address", n->mac);
    if (n->bridge)
        xml_attr(x, xml_el(x, i, "source"), "bridge", n->bridge);
    xmlNodePtr t = xml_el(x, i, "target");
    xml_attr(x, t, "dev", n->tap);
    if (!n->bridge)
        xml_attr(x, t, "managed", "no");
    xml_attr(x, xml_el(x, i, "model"), "type", str_or(n->model, str_or(model, "virtio")));
    if (queues > 1 || n->offload_off) {
        xmlNodePtr d = xml_el(x, i, "driver");
        if (queues > 1) {
            xml_attr(x, d, "name", "vhost");
            xml_attrf(x, d, "queues", "%lld", (long long)queues);
        }
        if (n->offload_off) {
            static const char *const HOST[] = { "csum", "gso", "tso4", "tso6", "ecn", "ufo" };
            static const char *const GUEST[] = { "csum", "tso4", "tso6", "ecn", "ufo" };
            xmlNodePtr host = xml_el(x, d, "host"), guest = xml_el(x, d, "guest");
            for (size_t k = 0; k < ARRAY_SIZE(HOST); k++)
                xml_attr(x, host, HOST[k], "off");
            for (size_t k = 0; k < ARRAY_SIZE(GUEST); k++)
                xml_attr(x, guest, GUEST[k], "off");
        }
    }
    build_bandwidth(x, i, extra);
    if (n->mtu > 0)
        xml_attrf(x, xml_el(x, i, "mtu"), "size", "%lld", (long long)n->mtu);
    xml_attrf(x, xml_el(x, i, "alias"), "name", NIC_ALIAS_PREFIX "%s", n->port_id);
    return 0;
}

int nic_xml(const struct server_nic *n, const char *model, const struct domain_host *h _unused_, char **ret,
            struct fault *fault)
{
    _cleanup_(xml_done) struct xml x = { 0 };
    int r = build_nic(&x, NULL, n, model, 1, NULL, fault);
    if (r)
        return r;
    char *text = xml_finish(&x);
    if (!text)
        return -ENOMEM;
    *ret = text;
    return 0;
}

/* ---- the rest ------------------------------------------------------------------------ */

static void build_controllers(struct xml *x, xmlNodePtr dev, const struct server_spec *s,
                              const struct domain_host *h, bool scsi)
{
    const char *pointer = spec_knob(s, NULL, "hw_pointer_model");
    xmlNodePtr usb = xml_el(x, dev, "controller");
    xml_attr(x, usb, "type", "usb");
    xml_attr(x, usb, "model", str_eq(pointer, "usbtablet") ? "qemu-xhci" : "none");
    if (domain_is_q35(s, h)) {
        /* Only what is behind a root port can be plugged later, so there are some to spare. */
        xmlNodePtr root = xml_el(x, dev, "controller");
        xml_attr(x, root, "type", "pci");
        xml_attr(x, root, "index", "0");
        xml_attr(x, root, "model", "pcie-root");
        for (unsigned i = 1; i <= 16 + s->disks.n + s->nics.n; i++) {
            xmlNodePtr port = xml_el(x, dev, "controller");
            xml_attr(x, port, "type", "pci");
            xml_attrf(x, port, "index", "%u", i);
            xml_attr(x, port, "model", "pcie-root-port");
        }
    }
    const char *model = spec_knob(s, NULL, "hw_scsi_model");
    if (scsi || model) {
        xmlNodePtr c = xml_el(x, dev, "controller");
        xml_attr(x, c, "type", "scsi");
        xml_attr(x, c, "index", "0");
        xml_attr(x, c, "model", str_or(model, "virtio-scsi"));
    }
    xmlNodePtr vs = xml_el(x, dev, "controller");
    xml_attr(x, vs, "type", "virtio-serial");
    xml_attr(x, vs, "index", "0");
}

static void build_consoles(struct xml *x, xmlNodePtr dev, const struct server_spec *s,
                           const struct domain_host *h, struct arena *a)
{
    xmlNodePtr ser = xml_el(x, dev, "serial");
    xml_attr(x, ser, "type", "unix");
    xmlNodePtr src = xml_el(x, ser, "source");
    xml_attr(x, src, "mode", "bind");
    xml_attr(x, src, "path", domain_serial_path(h, s->id, a));
    xmlNodePtr log = xml_el(x, ser, "log");
    xml_attr(x, log, "file", domain_log_path(h, s->id, a));
    xml_attr(x, log, "append", "on");
    xml_attr(x, xml_el(x, ser, "target"), "port", "0");

    xmlNodePtr ch = xml_el(x, dev, "channel");
    xml_attr(x, ch, "type", "unix");
    xmlNodePtr ct = xml_el(x, ch, "target");
    xml_attr(x, ct, "type", "virtio");
    xml_attr(x, ct, "name", "org.qemu.guest_agent.0");

    const char *video = spec_knob(s, NULL, "hw_video_model");
    if (str_eq(video, "none")) {
        xml_attr(x, xml_el(x, xml_el(x, dev, "video"), "model"), "type", "none");
        return;
    }
    const char *pointer = spec_knob(s, NULL, "hw_pointer_model");
    xmlNodePtr in = xml_el(x, dev, "input");
    xml_attr(x, in, "type", "tablet");
    xml_attr(x, in, "bus", str_eq(pointer, "usbtablet") ? "usb" : "virtio");

    const char *const kinds[] = { "vnc", h->spice ? "spice" : NULL };
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        if (!kinds[i])
            continue;
        xmlNodePtr g = xml_el(x, dev, "graphics");
        xml_attr(x, g, "type", kinds[i]);
        xml_attr(x, g, "port", "-1");
        xml_attr(x, g, "autoport", "yes");
        xmlNodePtr l = xml_el(x, g, "listen");
        xml_attr(x, l, "type", "address");
        xml_attr(x, l, "address", h->console_host);
    }
    xmlNodePtr m = xml_el(x, xml_el(x, dev, "video"), "model");
    xml_attr(x, m, "type", str_or(video, h->virtio_vga ? "virtio" : "vga"));
    const char *ram = spec_knob(s, "hw_video:ram_max_mb", NULL);
    if (ram && (str_eq(video, "vga") || str_eq(video, "qxl")))
        xml_attrf(x, m, "vram", "%lld", (long long)strtoll(ram, NULL, 10) * 1024);
}

static int build_extras(struct xml *x, xmlNodePtr dev, const struct server_spec *s,
                        const struct domain_host *h, struct fault *fault)
{
    const char *wd = spec_knob(s, "hw:watchdog_action", "hw_watchdog_action");
    if (wd && !STREQ(wd, "disabled")) {
        xmlNodePtr w = xml_el(x, dev, "watchdog");
        xml_attr(x, w, "model", "i6300esb");
        xml_attr(x, w, "action", wd);
    }
    const char *tpm = spec_knob(s, "hw:tpm_version", "hw_tpm_version");
    if (tpm) {
        if (!h->tpm)
            return fault_set(fault, 409, "TPMNotSupported", "This host has no software TPM (swtpm).");
        xmlNodePtr t = xml_el(x, dev, "tpm");
        xml_attr(x, t, "model", str_or(spec_knob(s, "hw:tpm_model", "hw_tpm_model"), "tpm-tis"));
        xmlNodePtr b = xml_el(x, t, "backend");
        xml_attr(x, b, "type", "emulator");
        xml_attr(x, b, "version", tpm);
        xml_attr(x, b, "persistent_state", "yes");
    }
    for (size_t i = 0; i < s->pci_devices.n; i++) {
        xmlNodePtr d = xml_el(x, dev, "hostdev");
        xml_attr(x, d, "mode", "subsystem");
        xml_attr(x, d, "type", "pci");
        xml_attr(x, d, "managed", "yes");
        if (!pci_address(x, xml_el(x, d, "source"), s->pci_devices.v[i], false))
            return fault_set(fault, 400, "PciInvalidAddress", "'%s' is no PCI address.", s->pci_devices.v[i]);
    }
    xmlNodePtr balloon = xml_el(x, dev, "memballoon");
    xml_attr(x, balloon, "model", "virtio");
    xml_attr(x, xml_el(x, balloon, "stats"), "period", "10");

    const char *rng = spec_knob(s, "hw_rng:allowed", NULL);
    if (!rng || knob_true(rng)) {
        xmlNodePtr r = xml_el(x, dev, "rng");
        xml_attr(x, r, "model", "virtio");
        const char *bytes = strmap_get(&s->extra_specs, "hw_rng:rate_bytes");
        if (bytes) {
            xmlNodePtr rate = xml_el(x, r, "rate");
            xml_attr(x, rate, "bytes", bytes);
            const char *period = strmap_get(&s->extra_specs, "hw_rng:rate_period");
            if (period)
                xml_attr(x, rate, "period", period);
        }
        xml_attr(x, xml_text(x, r, "backend", "/dev/urandom"), "model", "random");
    }
    return 0;
}

/* quota:disk_* limits hold for each disk that has none of its own. */
static void flavor_qos(const struct server_spec *s, struct disk_qos *q)
{
    const struct {
        const char *key;
        int64_t *to;
    } rows[] = {
        { "quota:disk_total_iops_sec", &q->total_iops }, { "quota:disk_read_iops_sec", &q->read_iops },
        { "quota:disk_write_iops_sec", &q->write_iops }, { "quota:disk_total_bytes_sec", &q->total_bytes },
        { "quota:disk_read_bytes_sec", &q->read_bytes }, { "quota:disk_write_bytes_sec", &q->write_bytes },
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const char *v = strmap_get(&s->extra_specs, rows[i].key);
        *rows[i].to = v ? strtoll(v, NULL, 10) : 0;
    }
}

int devices_build(struct xml *x, xmlNodePtr dev, const struct server_spec *s, const struct domain_host *h,
                  struct arena *a, struct fault *fault)
{
    const struct strmap *properties = s->image ? &s->image->properties : NULL;
    bool q35 = domain_is_q35(s, h), scsi = false;
    struct disk_names names = { 0 };
    struct disk_qos qos = { 0 };
    const char **device = ARENA_NEWN(a, const char *, s->disks.n + 1);
    if (!device)
        return -ENOMEM;

    if (h->emulator)
        (void)xml_text(x, dev, "emulator", h->emulator);
    flavor_qos(s, &qos);
    /* Those with a name first: what was told to the tenant stays true. */
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < s->disks.n; i++) {
            const struct server_disk *d = &s->disks.v[i];
            const char *bus = disk_bus(d, properties, q35);
            if ((d->device == NULL) == (pass == 1)) {
                device[i] = disk_name_choose(&names, d->device, bus, a);
                if (!device[i])
                    return fault_set(fault, 409, "TooManyDiskDevices", "No device name is left for disk %s.",
                                     d->id);
            }
            scsi |= STREQ(bus, "scsi");
        }
    build_controllers(x, dev, s, h, scsi);
    uint64_t boots = 0;
    for (size_t i = 0; i < s->disks.n; i++) {
        struct server_disk d = s->disks.v[i];
        bool own = str_eq(d.kind, DISK_EPHEMERAL) || str_eq(d.kind, DISK_SWAP) || str_eq(d.kind, DISK_CONFIG);
        /* libvirt refuses a place in the order that is given twice: the first disk has it. */
        if (own || d.boot_index > 62 || (d.boot_index >= 0 && boots >> d.boot_index & 1))
            d.boot_index = -1;
        if (d.boot_index >= 0)
            boots |= (uint64_t)1 << d.boot_index;
        if (!d.qos && !STREQ(str_or(d.kind, ""), DISK_CONFIG))
            d.qos = &qos;
        int r = build_disk(x, dev, &d, device[i], disk_bus(&d, properties, q35), a, fault);
        if (r)
            return r;
    }
    bool multi = knob_true(spec_knob(s, "hw:vif_multiqueue_enabled", "hw_vif_multiqueue_enabled"));
    for (size_t i = 0; i < s->nics.n; i++) {
        const struct server_nic *n = &s->nics.v[i];
        /* A tap made elsewhere has as many queues as its maker gave it: one. */
        int64_t queues = multi && n->bridge ? MIN(s->vcpus, (int64_t)8) : 1;
        int r = build_nic(x, dev, n, spec_knob(s, NULL, "hw_vif_model"), queues, &s->extra_specs, fault);
        if (r)
            return r;
    }
    build_consoles(x, dev, s, h, a);
    return build_extras(x, dev, s, h, fault);
}
