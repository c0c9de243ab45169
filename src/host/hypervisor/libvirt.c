/*
 * Hypervisor driver on libvirt: the connection, events, and the life of a domain.
 *
 * One connection serves all threads. It is opened when first needed and again whenever it
 * has died (libvirtd was restarted or killed; guests run on meanwhile); then everything may
 * have changed unseen, and the agent is told to look at all of it (DOMAIN_EVENT_RESYNC).
 *
 * One thread per process runs libvirt's event loop; it starts with the first driver and
 * ends with the last. Lifecycle events wake those who wait in the driver and are passed on
 * to the agent, so that a guest that powers itself off is seen at once.
 *
 * A domain of ours is one whose name begins with the configured prefix; its UUID is the
 * server's id. Its metadata says of which host of the cloud it is.
 */
#include "host/hypervisor/libvirt_driver.h"

#include "base/log.h"

#include <errno.h>
#include <libxml/parser.h>
#include <signal.h>
#include <sys/stat.h>

LOG_MODULE("host.libvirt");

/* ---- the event loop ------------------------------------------------------------------ */

static pthread_mutex_t loop_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_t loop_thread;
static unsigned loop_users;
static bool loop_registered;
static _Atomic bool loop_stop;
static int loop_timer = -1;

static void loop_tick(int timer _unused_, void *opaque _unused_)
{
}

static void *loop_run(void *arg _unused_)
{
    while (!loop_stop)
        if (virEventRunDefaultImpl() < 0)
            break;
    return NULL;
}

/* libvirt prints to stderr unless it is given somewhere else to say it. */
static void errors_silent(void *cookie _unused_, virErrorPtr e _unused_)
{
}

static int loop_get(void)
{
    int r = 0;
    pthread_mutex_lock(&loop_lock);
    if (!loop_registered) {
        /* libvirt writes to its daemon's socket by write(2): where the daemon was killed, that
         * must be an error of the call and not the end of this process. */
        struct sigaction pipe_action;
        if (sigaction(SIGPIPE, NULL, &pipe_action) == 0 && pipe_action.sa_handler == SIG_DFL)
            (void)signal(SIGPIPE, SIG_IGN);
        virSetErrorFunc(NULL, errors_silent);
        xmlInitParser();
        if (virInitialize() < 0 || virEventRegisterDefaultImpl() < 0)
            r = -EIO;
        else
            loop_registered = true;
    }
    if (!r && loop_users == 0) {
        loop_stop = false;
        /* A timer that never fires by itself: set to zero, it wakes the loop to stop it. */
        loop_timer = virEventAddTimeout(-1, loop_tick, NULL, NULL);
        r = loop_timer < 0 ? -EIO : -pthread_create(&loop_thread, NULL, loop_run, NULL);
    }
    if (!r)
        loop_users++;
    pthread_mutex_unlock(&loop_lock);
    return r;
}

static void loop_put(void)
{
    pthread_mutex_lock(&loop_lock);
    if (--loop_users == 0) {
        loop_stop = true;
        virEventUpdateTimeout(loop_timer, 0);
        pthread_join(loop_thread, NULL);
        virEventRemoveTimeout(loop_timer);
    }
    pthread_mutex_unlock(&loop_lock);
}

/* ---- errors -------------------------------------------------------------------------- */

int driver_error(const char *what, struct fault *fault)
{
    virErrorPtr e = virGetLastError();
    if (!e || e->code == VIR_ERR_OK)
        return -EIO;
    switch (e->code) {
    case VIR_ERR_NO_DOMAIN:
        return -ENOENT;
    case VIR_ERR_NO_CONNECT:
    case VIR_ERR_INVALID_CONN:
    case VIR_ERR_RPC:
    case VIR_ERR_AUTH_FAILED:
    case VIR_ERR_SYSTEM_ERROR:
        if (e->code != VIR_ERR_SYSTEM_ERROR || e->domain == VIR_FROM_RPC)
            return -ENOTCONN;
        break;
    case VIR_ERR_INTERNAL_ERROR:
        if (e->domain == VIR_FROM_RPC)
            return -ENOTCONN;
        break;
    case VIR_ERR_NO_MEMORY:
        return -ENOMEM;
    case VIR_ERR_AGENT_UNRESPONSIVE:
    case VIR_ERR_AGENT_UNSYNCED:
        if (fault)
            return fault_set(fault, 409, "QemuGuestAgentNotEnabled", "The guest agent did not do it: %s",
                             str_or(e->message, "no answer"));
        break;
    case VIR_ERR_OPERATION_TIMEOUT:
    case VIR_ERR_OPERATION_INVALID:
        if (fault)
            return fault_set(fault, 409, "InstanceInvalidState", "%s", str_or(e->message, what));
        break;
    default:
        break;
    }
    log_debug("libvirt refused", KV("what", what), KV("code", e->code), KV("message", e->message));
    if (fault)
        return fault_set(fault, 500, "HypervisorError", "%s", str_or(e->message, what));
    return -EIO;
}

/* ---- the connection ------------------------------------------------------------------ */

void driver_wake(struct libvirt_driver *d)
{
    pthread_mutex_lock(&d->wait_lock);
    pthread_cond_broadcast(&d->changed);
    pthread_mutex_unlock(&d->wait_lock);
}

static void tell(struct libvirt_driver *d, virDomainPtr dom, enum domain_event event)
{
    char id[VIR_UUID_STRING_BUFLEN];
    driver_wake(d);
    if (!d->config.on_event)
        return;
    if (dom &&
        (!str_starts(virDomainGetName(dom), d->host.name_prefix) || virDomainGetUUIDString(dom, id) < 0))
        return;
    d->config.on_event(d->config.cookie, dom ? id : NULL, event);
}

static int on_lifecycle(virConnectPtr c _unused_, virDomainPtr dom, int event, int detail _unused_,
                        void *opaque)
{
    switch (event) {
    case VIR_DOMAIN_EVENT_STARTED:
        tell(opaque, dom, DOMAIN_EVENT_STARTED);
        break;
    case VIR_DOMAIN_EVENT_STOPPED:
    case VIR_DOMAIN_EVENT_CRASHED:
    case VIR_DOMAIN_EVENT_UNDEFINED:
        tell(opaque, dom, DOMAIN_EVENT_STOPPED);
        break;
    case VIR_DOMAIN_EVENT_SUSPENDED:
    case VIR_DOMAIN_EVENT_PMSUSPENDED:
        tell(opaque, dom, DOMAIN_EVENT_PAUSED);
        break;
    case VIR_DOMAIN_EVENT_RESUMED:
        tell(opaque, dom, DOMAIN_EVENT_RESUMED);
        break;
    default:
        driver_wake(opaque);
        break;
    }
    return 0;
}

static void on_reboot(virConnectPtr c _unused_, virDomainPtr dom, void *opaque)
{
    tell(opaque, dom, DOMAIN_EVENT_REBOOTED);
}

static void on_device(virConnectPtr c _unused_, virDomainPtr dom, const char *alias _unused_, void *opaque)
{
    tell(opaque, dom, DOMAIN_EVENT_DEVICE);
}

static void on_agent(virConnectPtr c _unused_, virDomainPtr dom, int state _unused_, int reason _unused_,
                     void *opaque)
{
    tell(opaque, dom, DOMAIN_EVENT_AGENT);
}

static void on_job(virConnectPtr c _unused_, virDomainPtr dom _unused_, virTypedParameterPtr p _unused_,
                   int n _unused_, void *opaque)
{
    driver_wake(opaque);
}

static void on_close(virConnectPtr c _unused_, int reason, void *opaque)
{
    struct libvirt_driver *d = opaque;
    if (reason == VIR_CONNECT_CLOSE_REASON_CLIENT)
        return;
    log_warning("lost the connection to libvirt, guests run on", KV("uri", d->config.uri));
    tell(d, NULL, DOMAIN_EVENT_RESYNC);
}

static void events_register(struct libvirt_driver *d, virConnectPtr c)
{
    const struct {
        int event;
        virConnectDomainEventGenericCallback call;
    } rows[] = {
        { VIR_DOMAIN_EVENT_ID_LIFECYCLE, VIR_DOMAIN_EVENT_CALLBACK(on_lifecycle) },
        { VIR_DOMAIN_EVENT_ID_REBOOT, VIR_DOMAIN_EVENT_CALLBACK(on_reboot) },
        { VIR_DOMAIN_EVENT_ID_DEVICE_ADDED, VIR_DOMAIN_EVENT_CALLBACK(on_device) },
        { VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED, VIR_DOMAIN_EVENT_CALLBACK(on_device) },
        { VIR_DOMAIN_EVENT_ID_DEVICE_REMOVAL_FAILED, VIR_DOMAIN_EVENT_CALLBACK(on_device) },
        { VIR_DOMAIN_EVENT_ID_AGENT_LIFECYCLE, VIR_DOMAIN_EVENT_CALLBACK(on_agent) },
        { VIR_DOMAIN_EVENT_ID_JOB_COMPLETED, VIR_DOMAIN_EVENT_CALLBACK(on_job) },
    };
    static_assert(ARRAY_SIZE(rows) <= ARRAY_SIZE(d->events), "room for all");
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        int id = virConnectDomainEventRegisterAny(c, NULL, rows[i].event, rows[i].call, d, NULL);
        if (id >= 0)
            d->events[d->n_events++] = id;
        else if (virConnectIsAlive(c) == 1)
            log_warning("libvirt has no such event, the agent looks by itself", KV("event", rows[i].event));
    }
    (void)virConnectRegisterCloseCallback(c, on_close, d, NULL);
    /* Embedded drivers have no keepalive, nor need one. */
    (void)virConnectSetKeepAlive(c, 5, 3);
}

/* Callbacks hold references to their connection: without this it would never close. */
static void conn_drop(struct libvirt_driver *d)
{
    if (!d->conn)
        return;
    (void)virConnectUnregisterCloseCallback(d->conn, on_close);
    for (size_t i = 0; i < d->n_events; i++)
        (void)virConnectDomainEventDeregisterAny(d->conn, d->events[i]);
    d->n_events = 0;
    virConnectClose(d->conn);
    d->conn = NULL;
}

int driver_conn(struct libvirt_driver *d, virConnectPtr *ret)
{
    bool again = false, first = false;
    pthread_mutex_lock(&d->lock);
    if (d->conn && virConnectIsAlive(d->conn) != 1)
        conn_drop(d);
    if (!d->conn && clock_mono() >= d->retry_at) {
        d->conn = virConnectOpen(d->config.uri);
        if (d->conn) {
            events_register(d, d->conn);
            again = d->was_connected;
            first = !d->was_connected;
            d->was_connected = true;
        } else {
            /* A daemon that is away must not be asked by every call of every thread. */
            d->retry_at = clock_mono() + 500 * USEC_PER_MSEC;
            static struct ratelimit limit = RATELIMIT(1, SECONDS(30));
            virErrorPtr e = virGetLastError();
            log_warning_limited(&limit, "libvirt can't be reached", KV("uri", d->config.uri),
                                KV("message", e ? e->message : NULL));
        }
    }
    int r = -ENOTCONN;
    if (d->conn && virConnectRef(d->conn) == 0) {
        *ret = d->conn;
        r = 0;
    }
    pthread_mutex_unlock(&d->lock);
    if (first && r == 0)
        libvirt_thaw_left(d, *ret);
    if (again) {
        log_info("connected to libvirt again", KV("uri", d->config.uri));
        tell(d, NULL, DOMAIN_EVENT_RESYNC);
    }
    return r;
}

int driver_domain(struct libvirt_driver *d, const char *id, virDomainPtr *ret)
{
    _cleanup_(conn_closep) virConnectPtr c = NULL;
    int r = driver_conn(d, &c);
    if (r < 0)
        return r;
    virDomainPtr dom = virDomainLookupByUUIDString(c, id);
    if (!dom)
        return driver_error("lookup", NULL);
    *ret = dom;
    return 0;
}

void driver_wait(struct libvirt_driver *d, usec_t most)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    int64_t ns = ts.tv_nsec + (most % 1000000) * 1000;
    ts.tv_sec += (time_t)(most / 1000000 + ns / 1000000000);
    ts.tv_nsec = (long)(ns % 1000000000);
    pthread_mutex_lock(&d->wait_lock);
    (void)pthread_cond_timedwait(&d->changed, &d->wait_lock, &ts);
    pthread_mutex_unlock(&d->wait_lock);
}

int driver_caps(struct libvirt_driver *d)
{
    _cleanup_(conn_closep) virConnectPtr c = NULL;
    int r = driver_conn(d, &c);
    if (r < 0)
        return r;
    pthread_mutex_lock(&d->caps_lock);
    r = 0;
    if (!d->host_known) {
        usec_t from = clock_mono();
        log_info("asking libvirt what the emulator can; the first time ever may take a minute");
        /* Secure boot is told of the one machine that can have it only, whatever the default is. */
        const char *const machines[] = { d->host.machine, "q35" };
        for (size_t i = 0; r == 0 && i < ARRAY_SIZE(machines); i++) {
            struct domain_host h = { 0 };
            char *xml = virConnectGetDomainCapabilities(c, NULL, d->host.arch, machines[i],
                                                        d->host.kvm ? "kvm" : "qemu", 0);
            r = xml ? caps_parse(xml, d->arena, &h) : driver_error("capabilities", NULL);
            free(xml);
            if (r == 0 && i == 0) {
                d->host.emulator = h.emulator;
                d->host.spice = h.spice;
                d->host.virtio_vga = h.virtio_vga;
                d->host.tpm = h.tpm;
            }
            d->host.uefi |= h.uefi;
            d->host.secure_boot |= h.secure_boot;
        }
        if (r == 0) {
            d->host.spice = d->host.spice && d->config.spice;
            d->host_known = true;
            log_info("emulator known", KV("seconds", (clock_mono() - from) / 1000000),
                     KV("uefi", d->host.uefi), KV("tpm", d->host.tpm), KV("spice", d->host.spice));
        }
    }
    pthread_mutex_unlock(&d->caps_lock);
    return r;
}

/* ---- open, close --------------------------------------------------------------------- */

static void libvirt_close(struct hypervisor *hv)
{
    struct libvirt_driver *d = driver_of(hv);
    conn_drop(d);
    loop_put();
    pthread_cond_destroy(&d->changed);
    pthread_mutex_destroy(&d->lock);
    pthread_mutex_destroy(&d->wait_lock);
    pthread_mutex_destroy(&d->caps_lock);
    arena_free(d->arena);
    free(d);
}

static int libvirt_open(const struct hypervisor_config *config, struct hypervisor **ret, struct fault *fault)
{
    struct libvirt_driver *d = calloc(1, sizeof(*d));
    if (!d)
        return -ENOMEM;
    d->head.class = &HYPERVISOR_LIBVIRT;
    d->arena = arena_new(4 << 20);
    if (!d->arena) {
        free(d);
        return -ENOMEM;
    }
    struct arena *a = d->arena;
    char hostname[256] = "localhost";
    (void)gethostname(hostname, sizeof(hostname) - 1);
    struct hypervisor_config *c = &d->config;
    *c = *config;
    c->uri = arena_strdup(a, str_or(config->uri, "qemu:///system"));
    c->host_name = arena_strdup(a, str_or(config->host_name, hostname));
    c->run_dir = arena_strdup(a, str_or(config->run_dir, "/run/yunduo/serial"));
    c->log_dir = arena_strdup(a, str_or(config->log_dir, "/var/lib/yunduo/console"));
    c->name_prefix = arena_strdup(a, str_or(config->name_prefix, "yun-"));
    c->accel = arena_strdup(a, str_or(config->accel, "auto"));
    c->machine = arena_strdup(a, str_or(config->machine, "pc"));
    c->cpu_mode = arena_strdup(a, str_or(config->cpu_mode, "host-model"));
    c->cpu_model = arena_strdup(a, config->cpu_model);
    c->console_host = arena_strdup(a, str_or(config->console_host, "127.0.0.1"));
    c->data_dir = arena_strdup(a, str_or(config->data_dir, "/var/lib/yunduo"));
    c->console_log_bytes = config->console_log_bytes > 0 ? config->console_log_bytes : 1 << 20;
    c->tcg_cache_mb = config->tcg_cache_mb > 0 ? config->tcg_cache_mb : 32;

    (void)cpu_facts_read("/proc/cpuinfo", a, &d->cpu);
    d->no_kvm = STREQ(c->accel, "tcg") ? "the configuration says tcg" : kvm_missing(&d->cpu, "/dev/kvm");
    d->host = (struct domain_host){
        .host_name = c->host_name,
        .name_prefix = c->name_prefix,
        .run_dir = c->run_dir,
        .log_dir = c->log_dir,
        .console_host = c->console_host,
        .arch = "x86_64",
        .kvm = !d->no_kvm,
        .tcg_cache_mb = c->tcg_cache_mb,
        .machine = c->machine,
        .cpu_mode = c->cpu_mode,
        .cpu_model = c->cpu_model,
    };
    int r = arena_failed(a) ? -ENOMEM : 0;
    if (!r && STREQ(c->accel, "kvm") && d->no_kvm)
        r = fault_set(fault, 500, "ConfigurationError", "The configuration asks for KVM, but %s.", d->no_kvm);
    if (!r)
        r = loop_get();
    if (r) {
        arena_free(a);
        free(d);
        return r;
    }
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&d->changed, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&d->lock, NULL);
    pthread_mutex_init(&d->wait_lock, NULL);
    pthread_mutex_init(&d->caps_lock, NULL);
    if (d->no_kvm && STREQ(c->accel, "auto"))
        log_warning("KVM is not usable, guests are emulated and slow", KV("reason", d->no_kvm));
    *ret = &d->head;
    return 0;
}

/* ---- a domain's life ----------------------------------------------------------------- */

int domain_state_get(virDomainPtr dom, enum domain_state *ret, bool *ret_io_error)
{
    int state, reason;
    if (virDomainGetState(dom, &state, &reason, 0) < 0)
        return driver_error("state", NULL);
    bool io_error = false;
    switch (state) {
    case VIR_DOMAIN_RUNNING:
    case VIR_DOMAIN_BLOCKED:
    case VIR_DOMAIN_SHUTDOWN:
        *ret = DOMAIN_RUNNING;
        break;
    case VIR_DOMAIN_PAUSED:
        io_error = reason == VIR_DOMAIN_PAUSED_IOERROR;
        /* The others are short stops in the middle of saving, copying, starting. */
        *ret = reason == VIR_DOMAIN_PAUSED_CRASHED ? DOMAIN_CRASHED
               : io_error || reason == VIR_DOMAIN_PAUSED_USER || reason == VIR_DOMAIN_PAUSED_WATCHDOG ||
                       reason == VIR_DOMAIN_PAUSED_UNKNOWN
                   ? DOMAIN_PAUSED
                   : DOMAIN_RUNNING;
        break;
    case VIR_DOMAIN_PMSUSPENDED:
        *ret = DOMAIN_PAUSED;
        break;
    case VIR_DOMAIN_CRASHED:
        *ret = DOMAIN_CRASHED;
        break;
    default:
        *ret = virDomainHasManagedSaveImage(dom, 0) == 1 ? DOMAIN_SUSPENDED
               : reason == VIR_DOMAIN_SHUTOFF_CRASHED    ? DOMAIN_CRASHED
                                                         : DOMAIN_SHUTOFF;
        break;
    }
    if (ret_io_error)
        *ret_io_error = io_error;
    return 0;
}

static int dir_make(const char *path)
{
    _cleanup_(freep) char *p = strdup(path);
    if (!p)
        return -ENOMEM;
    for (char *s = p + 1; *s; s++)
        if (*s == '/') {
            *s = '\0';
            if (mkdir(p, 0755) < 0 && errno != EEXIST)
                return -errno;
            *s = '/';
        }
    return mkdir(p, 0755) < 0 && errno != EEXIST ? -errno : 0;
}

/* What must be there before a domain: folders and secrets. */
static int surroundings_make(struct libvirt_driver *d, virConnectPtr c, const struct server_spec *spec,
                             struct arena *a, struct fault *fault)
{
    /* libvirt opens the log but makes no folder for it. */
    const char *log = arena_printf(a, "%s/%s", d->host.log_dir, spec->id);
    int r = log ? dir_make(log) : -ENOMEM;
    if (r == 0)
        r = dir_make(d->host.run_dir);
    for (size_t i = 0; r == 0 && i < spec->disks.n; i++)
        r = disk_secrets_define(c, &spec->disks.v[i], a, fault);
    return r;
}

static int libvirt_expect(struct hypervisor *hv, const struct server_spec *spec, struct fault *fault)
{
    struct libvirt_driver *d = driver_of(hv);
    _cleanup_(conn_closep) virConnectPtr c = NULL;
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    int r = a ? driver_conn(d, &c) : -ENOMEM;
    return r < 0 ? r : surroundings_make(d, c, spec, a, fault);
}

static int libvirt_define(struct hypervisor *hv, const struct server_spec *spec, struct fault *fault)
{
    struct libvirt_driver *d = driver_of(hv);
    int r = driver_caps(d);
    if (r < 0)
        return r;
    _cleanup_(conn_closep) virConnectPtr c = NULL;
    r = driver_conn(d, &c);
    if (r < 0)
        return r;
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    if (!a)
        return -ENOMEM;
    _cleanup_(freep) char *xml = NULL;
    r = domain_xml(spec, &d->host, a, &xml, fault);
    if (r)
        return r;
    r = surroundings_make(d, c, spec, a, fault);
    if (r)
        return r;
    virDomainPtr dom = virDomainDefineXMLFlags(c, xml, 0);
    if (!dom)
        return driver_error("define", fault);
    virDomainFree(dom);
    return 0;
}

static int libvirt_start(struct hypervisor *hv, const char *id, struct fault *fault)
{
    _cleanup_(dom_freep) virDomainPtr dom = NULL;
    int r = driver_domain(driver_of(hv), id, &dom);
    if (r < 0)
        return r;
    enum domain_state state;
    r = domain_state_get(dom, &state, NULL);
    if (r < 0 || state == DOMAIN_RUNNING)
        return r;
    if (state == DOMAIN_PAUSED)
        return virDomainResume(dom) < 0 ? driver_error("resume", fault) : 0;
    if (state == DOMAIN_CRASHED && virDomainIsActive(dom) == 1)
        (void)virDomainDestroy(dom);
    if (virDomainCreate(dom) == 0)
        return 0;
    if (state == DOMAIN_SUSPENDED) {
        log_warning("saved memory can't be restored, the guest boots anew", KV("server", id));
        if (virDomainCreateWithFlags(dom, VIR_DOMAIN_START_FORCE_BOOT) == 0)
            return 0;
    }
    return driver_error("start", fault);
}

static int libvirt_stop(struct hypervisor *hv, const char *id, usec_t timeout)
{
    struct libvirt_driver *d = driver_of(hv);
    _cleanup_(dom_freep) virDomainPtr dom = NULL;
    int r = driver_domain(d, id, &dom);
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    usec_t end = clock_mono() + timeout, ask_at = 0;
    while (timeout > 0 && clock_mono() < end && virDomainIsActive(dom) == 1) {
        enum domain_state state;
        r = domain_state_get(dom, &state, NULL);
        if (r < 0)
            return r;
        if (state != DOMAIN_RUNNING)
            break; /* a guest that stands still hears nothing */
        /* A guest that is still booting misses the button, so it is pressed again. */
        if (clock_mono() >= ask_at) {
            (void)virDomainShutdownFlags(dom, VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN);
            ask_at = clock_mono() + SECONDS(10);
        }
        driver_wait(d, MIN(end - clock_mono() + 1, 500 * USEC_PER_MSEC));
    }
    if (virDomainIsActive(dom) == 1 && virDomainDestroy(dom) < 0 && virDomainIsActive(dom) == 1)
        return driver_error("destroy", NULL);
    if (virDomainHasManagedSaveImage(dom, 0) == 1 && virDomainManagedSaveRemove(dom, 0) < 0)
        return driver_error("managed save remove", NULL);
    return 0;
}

static int libvirt_reboot(struct hypervisor *hv, const char *id, struct fault *fault)
{
    _cleanup_(dom_freep) virDomainPtr dom = NULL;
    int r = driver_domain(driver_of(hv), id, &dom);
    if (r < 0)
        return r;
    return virDomainReboot(dom, VIR_DOMAIN_REBOOT_ACPI_POWER_BTN) < 0 ? driver_error("reboot", fault) : 0;
}

static int libvirt_pause(struct hypervisor *hv, const char *id, struct fault *fault)
{
    _cleanup_(dom_freep) virDomainPtr dom = NULL;
    enum domain_state state;
    int r = driver_domain(driver_of(hv), id, &dom);
    if (r == 0)
        r = domain_state_get(dom, &state, NULL);
    if (r < 0 || state == DOMAIN_PAUSED)
        return r;
    return virDomainSuspend(dom) < 0 ? driver_error("pause", fault) : 0;
}

static int libvirt_resume(struct hypervisor *hv, const char *id, struct fault *fault)
{
    _cleanup_(dom_freep) virDomainPtr dom = NULL;
    enum domain_state state;
    int r = driver_domain(driver_of(hv), id, &dom);
    if (r == 0)
        r = domain_state_get(dom, &state, NULL);
    if (r < 0 || state == DOMAIN_RUNNING)
        return r;
    return virDomainResume(dom) < 0 ? driver_error("resume", fault) : 0;
}

static int libvirt_suspend(struct hypervisor *hv, const char *id, struct fault *fault)
{
    _cleanup_(dom_freep) virDomainPtr dom = NULL;
    enum domain_state state;
    int r = driver_domain(driver_of(hv), id, &dom);
    if (r == 0)
        r = domain_state_get(dom, &state, NULL);
    if (r < 0 || state == DOMAIN_SUSPENDED)
        return r;
    /* Whatever it was doing, it goes on running when it comes back. */
    return virDomainManagedSave(dom, VIR_DOMAIN_SAVE_RUNNING) < 0 ? driver_error("suspend", fault) : 0;
}

/* Secrets are found by the ids of the domain's own disks. */
static void secrets_forget(virConnectPtr c, virDomainPtr dom, struct arena *a)
{
    _cleanup_(xmldoc_freep) xmlDocPtr doc = NULL;
    if (domain_doc(dom, VIR_DOMAIN_XML_INACTIVE, &doc) < 0)
        return;
    xmlNodePtr dev = xmlDocGetRootElement(doc)->children;
    while (dev && !str_eq((const char *)dev->name, "devices"))
        dev = dev->next;
    for (xmlNodePtr n = dev ? dev->children : NULL; n; n = n->next) {
        if (!str_eq((const char *)n->name, "disk") || !doc_value(n, ".//secret/@uuid", a))
            continue;
        const char *id = disk_alias_id(doc_value(n, "alias/@name", a));
        if (id)
            disk_secrets_forget(c, id, a);
    }
}

static int libvirt_destroy(struct hypervisor *hv, const char *id)
{
    struct libvirt_driver *d = driver_of(hv);
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    _cleanup_(conn_closep) virConnectPtr c = NULL;
    if (!a)
        return -ENOMEM;
    int r = driver_conn(d, &c);
    if (r < 0)
        return r;
    _cleanup_(dom_freep) virDomainPtr dom = virDomainLookupByUUIDString(c, id);
    if (!dom) {
        r = driver_error("lookup", NULL);
        if (r != -ENOENT)
            return r;
    } else {
        secrets_forget(c, dom, a);
        if (virDomainIsActive(dom) == 1 && virDomainDestroy(dom) < 0 && virDomainIsActive(dom) == 1)
            return driver_error("destroy", NULL);
        unsigned flags = VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA |
                         VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA | VIR_DOMAIN_UNDEFINE_NVRAM;
        if (virDomainIsPersistent(dom) == 1 && virDomainUndefineFlags(dom, flags) < 0) {
            r = driver_error("undefine", NULL);
            if (r != -ENOENT)
                return r;
        }
    }
    const char *log = domain_log_path(&d->host, id, a);
    if (!log || arena_failed(a))
        return -ENOMEM;
    (void)unlink(log);
    (void)rmdir(arena_printf(a, "%s/%s", d->host.log_dir, id));
    (void)unlink(domain_serial_path(&d->host, id, a));
    return 0;
}

static int libvirt_console_log(struct hypervisor *hv, const char *id, struct arena *a, size_t max,
                               const char **ret, size_t *ret_n)
{
    struct libvirt_driver *d = driver_of(hv);
    const char *path = domain_log_path(&d->host, id, a);
    if (!path)
        return -ENOMEM;
    (void)console_log_trim(path, d->config.console_log_bytes);
    return console_log_read(path, MIN(max, (size_t)d->config.console_log_bytes), a, ret, ret_n);
}

static int libvirt_trim_logs(struct hypervisor *hv)
{
    struct libvirt_driver *d = driver_of(hv);
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    struct domain_list l = { 0 };
    int r = a ? libvirt_list(hv, a, &l) : -ENOMEM;
    for (size_t i = 0; r == 0 && i < l.n; i++) {
        const char *path = domain_log_path(&d->host, l.v[i].id, a);
        r = path ? console_log_trim(path, d->config.console_log_bytes) : -ENOMEM;
    }
    return r;
}

const struct hypervisor_class HYPERVISOR_LIBVIRT = {
    .name = "libvirt",
    .open = libvirt_open,
    .close = libvirt_close,
    .facts = libvirt_facts,
    .list = libvirt_list,
    .observe = libvirt_observe,
    .define = libvirt_define,
    .start = libvirt_start,
    .stop = libvirt_stop,
    .reboot = libvirt_reboot,
    .pause = libvirt_pause,
    .resume = libvirt_resume,
    .suspend = libvirt_suspend,
    .destroy = libvirt_destroy,
    .attach_disk = libvirt_attach_disk,
    .detach_disk = libvirt_detach_disk,
    .attach_nic = libvirt_attach_nic,
    .detach_nic = libvirt_detach_nic,
    .extend_disk = libvirt_extend_disk,
    .limit_disk = libvirt_limit_disk,
    .snapshot_disk = libvirt_snapshot_disk,
    .set_password = libvirt_set_password,
    .inject_nmi = libvirt_inject_nmi,
    .console_log = libvirt_console_log,
    .trim_logs = libvirt_trim_logs,
    .screenshot = libvirt_screenshot,
    .diagnostics = libvirt_diagnostics,
    .expect = libvirt_expect,
    .migrate = libvirt_migrate,
};
