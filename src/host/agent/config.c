/* The rows of the agent's configuration: see agent.h. */
#include "host/agent/agent.h"

#define KNOB(name, type, member, value, text, ...) \
    { name, type, offsetof(struct agent_config, member), .otherwise = value, .doc = text, ##__VA_ARGS__ }

static const char *const LOG_FORMATS[] = { "auto", "text", "json", NULL };
static const char *const ACCEL[] = { "auto", "kvm", "tcg", NULL };

static const struct field ROWS[] = {
    KNOB("host", FIELD_STRING, host, NULL, "Name of this host in the cloud; default: the machine's."),
    KNOB("server_socket", FIELD_STRING, server_socket, "/var/lib/yunduo/agent.sock",
         "Socket of yund, when it runs on this machine."),
    KNOB("server_url", FIELD_STRING, server_url, NULL, "Where yund is otherwise: https://host:port."),
    KNOB("tls_ca", FIELD_STRING, tls_ca, NULL, "PEM file of the CA that signed yund's certificate."),
    KNOB("tls_cert", FIELD_STRING, tls_cert, NULL, "PEM file of this host's certificate."),
    KNOB("tls_key", FIELD_STRING, tls_key, NULL, "PEM file of its key."),
    KNOB("state_dir", FIELD_STRING, state_dir, "/var/lib/yunduo/agent", "Folder of disks, image cache and logs."),
    KNOB("hypervisor", FIELD_STRING, hypervisor, "libvirt", "Driver of guests: libvirt, or simulated for tests."),
    KNOB("network", FIELD_STRING, network, "linux", "Driver of networks: linux, or simulated for tests."),
    KNOB("hypervisor_uri", FIELD_STRING, hypervisor_uri, "qemu:///system", "libvirt's URI of the hypervisor."),
    KNOB("accel", FIELD_STRING, accel, "auto", "kvm, tcg, or auto: KVM where it works.", .values = ACCEL),
    KNOB("machine", FIELD_STRING, machine, NULL, "Machine type where the image names none."),
    KNOB("cpu_mode", FIELD_STRING, cpu_mode, NULL, "CPU of guests under KVM: host-model, host-passthrough, none."),
    KNOB("console_host", FIELD_STRING, console_host, "127.0.0.1", "Address that consoles listen on."),
    KNOB("spice", FIELD_BOOL, spice, "false", "Whether guests have SPICE beside VNC."),
    KNOB("memory_reserved_mb", FIELD_INT, memory_reserved_mb, "512", "Memory kept for the host itself.",
         .max = INT64_MAX),
    KNOB("workers", FIELD_INT, workers, "4", "Servers worked on at the same time.", .min = 1, .max = 256),
    KNOB("stop_seconds", FIELD_INT, stop_seconds, "60", "Time for a guest to power off when asked.", .max = 3600),
    KNOB("orphan_seconds", FIELD_INT, orphan_seconds, "120",
         "How long a guest of ours that the cloud does not know is left alone.", .max = 86400),
    KNOB("image_keep_seconds", FIELD_INT, image_keep_seconds, "86400", "How long unused images stay in the cache.",
         .max = 31536000),
    KNOB("facts_seconds", FIELD_INT, facts_seconds, "10", "How often the host's figures are told.", .min = 1,
         .max = 3600),
    KNOB("sim_vcpus", FIELD_INT, sim_vcpus, "64", "Processors of a simulated host.", .min = 1, .max = 1048576),
    KNOB("sim_memory_mb", FIELD_INT, sim_memory_mb, "262144", "Its memory.", .min = 1, .max = INT64_MAX),
    KNOB("sim_disk_gb", FIELD_INT, sim_disk_gb, "10000", "Its disk.", .min = 1, .max = INT64_MAX),
    KNOB("sim_delay_ms", FIELD_INT, sim_delay_ms, "0", "How long its guests take to start and stop.", .max = 600000),
    KNOB("volume_driver", FIELD_STRING, volume_driver, "dir", "Driver of volumes: dir."),
    KNOB("volume_backend", FIELD_STRING, volume_backend, "local", "Name of the backend, as volume types ask for it.",
         .min = 1, .max = 60),
    KNOB("volume_path", FIELD_STRING, volume_path, NULL, "Its folder; default: volumes in state_dir."),
    KNOB("volume_format", FIELD_STRING, volume_format, "qcow2", "Format of its files: qcow2 or raw."),
    KNOB("volume_shared", FIELD_BOOL, volume_shared, "false", "Whether every host has this folder at this path."),
    KNOB("backup_dir", FIELD_STRING, backup_dir, NULL, "Folder of volume backups; default: backups in state_dir."),
    KNOB("log_level", FIELD_STRING, log_level, "info", "error, warning, info or debug, also per module."),
    KNOB("log_format", FIELD_STRING, log_format, "auto", "text, json or auto.", .values = LOG_FORMATS),
    NET_CONFIG_FIELDS(struct agent_config, net),
};

SCHEMA(AGENT_CONFIG_SCHEMA, struct agent_config, ROWS);
