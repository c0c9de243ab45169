/* Rows of questions and answers: see the header. */
#include "host/spec_question.h"

#define ROW(type, member, kind) { #member, kind, offsetof(type, member), 0, .doc = #member }
#define LIST(type, member, schema) { #member, FIELD_OBJECTS, offsetof(type, member), 0, .sub = &(schema), .doc = #member }

#define Q(member, kind) ROW(struct host_question, member, kind)
static const struct field QUESTION_ROWS[] = {
    Q(id, FIELD_STRING), Q(server_id, FIELD_STRING), Q(what, FIELD_STRING), Q(bytes, FIELD_INT),
};
SCHEMA(HOST_QUESTION_SCHEMA, struct host_question, QUESTION_ROWS);

#define C(member) ROW(struct guest_cpu, member, FIELD_INT)
static const struct field CPU_ROWS[] = { C(id), C(time_ns), C(utilisation) };
static SCHEMA(CPU_SCHEMA, struct guest_cpu, CPU_ROWS);

#define D(member) ROW(struct guest_disk, member, FIELD_INT)
static const struct field DISK_ROWS[] = {
    ROW(struct guest_disk, device, FIELD_STRING),
    D(read_bytes), D(read_requests), D(write_bytes), D(write_requests), D(errors),
};
static SCHEMA(DISK_SCHEMA, struct guest_disk, DISK_ROWS);

#define N(member) ROW(struct guest_nic, member, FIELD_INT)
static const struct field NIC_ROWS[] = {
    ROW(struct guest_nic, mac, FIELD_STRING), ROW(struct guest_nic, tap, FIELD_STRING),
    N(rx_bytes), N(rx_packets), N(rx_drop), N(rx_errors), N(tx_bytes), N(tx_packets), N(tx_drop), N(tx_errors),
};
static SCHEMA(NIC_SCHEMA, struct guest_nic, NIC_ROWS);

#define G(member, kind) ROW(struct guest_diagnostics, member, kind)
static const struct field DIAGNOSTICS_ROWS[] = {
    G(state, FIELD_STRING), G(uptime, FIELD_INT), G(memory_max_kb, FIELD_INT), G(memory_used_kb, FIELD_INT),
    LIST(struct guest_diagnostics, cpus, CPU_SCHEMA), LIST(struct guest_diagnostics, disks, DISK_SCHEMA),
    LIST(struct guest_diagnostics, nics, NIC_SCHEMA),
};
SCHEMA(GUEST_DIAGNOSTICS_SCHEMA, struct guest_diagnostics, DIAGNOSTICS_ROWS);

#define A(member, kind) ROW(struct host_answer, member, kind)
static const struct field ANSWER_ROWS[] = {
    A(id, FIELD_STRING), A(status, FIELD_INT), A(message, FIELD_STRING), A(text, FIELD_STRING),
    { "diagnostics", FIELD_OBJECT, offsetof(struct host_answer, diagnostics), NULLABLE,
      .sub = &GUEST_DIAGNOSTICS_SCHEMA, .doc = "diagnostics" },
};
SCHEMA(HOST_ANSWER_SCHEMA, struct host_answer, ANSWER_ROWS);
