/*
 * What a guest is told about itself: the documents of the metadata service and of the
 * config drive, rendered from the server's spec. Both ways give the same bytes.
 *
 * The formats are OpenStack's (/openstack/<version>/...) and EC2's (/<version>/...), as
 * cloud-init reads them.
 */
#ifndef YUNDUO_HOST_METADATA_DOC_H
#define YUNDUO_HOST_METADATA_DOC_H

#include "base/buf.h"
#include "host/spec_server.h"

/* Each writes one document. */
void metadata_meta_data(const struct server_spec *s, struct buf *out);
void metadata_network_data(const struct server_spec *s, struct buf *out);
void metadata_vendor_data(const struct server_spec *s, struct buf *out);
/* {"static": vendor data}, as version 2 of it wraps each source. */
void metadata_vendor_data2(const struct server_spec *s, struct buf *out);
/* ec2/latest/meta-data.json of the config drive. */
void metadata_ec2_json(const struct server_spec *s, struct buf *out);
/* The user data as bytes; false: there is none. */
bool metadata_user_data(const struct server_spec *s, struct buf *out);
/* File i of the personality, as /openstack/content/<%04d> has it; false: no such. */
bool metadata_content(const struct server_spec *s, size_t i, struct buf *out);

/* What a guest gets for a path such as "/openstack/latest/meta_data.json" or
 * "/latest/meta-data/public-keys/0/openssh-key"; trailing slashes don't matter. Returns
 * false: 404. 'ret_type' is a constant. "/openstack/<version>/password" gives the stored
 * one (empty while none was posted; posting is the service's own affair). */
bool metadata_get(const struct server_spec *s, const char *path, struct buf *out, const char **ret_type);

/* "i-" and eight digits, and whole UUIDs elsewhere: EC2 knows no UUIDs. */
#define METADATA_EC2_ID_SIZE 16
char *metadata_ec2_id(const char *prefix, const char *uuid, char out[METADATA_EC2_ID_SIZE]);

#endif
