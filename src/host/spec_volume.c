/* The rows of the wire's volume structs: see the header. */
#include "host/spec_volume.h"

#define S(type_, member) { #member, FIELD_STRING, offsetof(struct type_, member), OMIT_NULL, .doc = "See spec_volume.h." }
#define I(type_, member) { #member, FIELD_INT, offsetof(struct type_, member), 0, .doc = "See spec_volume.h." }
#define B(type_, member) { #member, FIELD_BOOL, offsetof(struct type_, member), 0, .doc = "See spec_volume.h." }

static const struct field SPEC_ROWS[] = {
    S(volume_spec, id), S(volume_spec, kind), I(volume_spec, revision), B(volume_spec, deleted), B(volume_spec, made),
    I(volume_spec, size_bytes), S(volume_spec, volume_id), S(volume_spec, disk_id), S(volume_spec, origin),
    S(volume_spec, origin_id),
    { "image", FIELD_OBJECT, offsetof(struct volume_spec, image), OMIT_NULL, .sub = &SERVER_IMAGE_SCHEMA,
      .doc = "See spec_volume.h." },
    S(volume_spec, image_id), S(volume_spec, format), S(volume_spec, hash),
    { "servers", FIELD_STRINGS, offsetof(struct volume_spec, servers), OMIT_NULL, .doc = "See spec_volume.h." },
};
SCHEMA(VOLUME_SPEC_SCHEMA, struct volume_spec, SPEC_ROWS);

static const struct field OBSERVED_ROWS[] = {
    S(volume_observed, id), S(volume_observed, kind), I(volume_observed, revision), S(volume_observed, state),
    I(volume_observed, size_bytes),
    { "source", FIELD_OBJECT, offsetof(struct volume_observed, source), OMIT_NULL, .sub = &DISK_SOURCE_SCHEMA,
      .doc = "See spec_volume.h." },
    S(volume_observed, hash), I(volume_observed, fault_code), S(volume_observed, fault_message),
};
SCHEMA(VOLUME_OBSERVED_SCHEMA, struct volume_observed, OBSERVED_ROWS);

static const struct field BACKEND_ROWS[] = {
    S(volume_backend_facts, name), S(volume_backend_facts, driver), S(volume_backend_facts, protocol),
    B(volume_backend_facts, shared), I(volume_backend_facts, total_bytes), I(volume_backend_facts, free_bytes),
    I(volume_backend_facts, provisioned_bytes), I(volume_backend_facts, volumes), I(volume_backend_facts, snapshots),
};
SCHEMA(VOLUME_BACKEND_SCHEMA, struct volume_backend_facts, BACKEND_ROWS);
