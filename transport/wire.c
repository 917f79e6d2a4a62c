/* SPDX-License-Identifier: Apache-2.0
 * The message header as explicit little-endian bytes (docs/wire.md has the table), and the rules that every field
 * must keep. Decoding is pure: it reads `size` bytes, writes *msg and allocates nothing, so it is also the fuzz target.
 */
#include "braid/transport.h"

#include <inttypes.h>
#include <string.h>

static const uint8_t magic[4] = {'B', 'R', 'D', '1'};

enum {
  AT_MAGIC = 0,
  AT_VERSION = 4,
  AT_TYPE = 5,
  AT_CODEC = 6,
  AT_ZERO = 7,
  AT_EPOCH = 8,
  AT_NODE = 12,
  AT_BEGIN = 16,
  AT_END = 20,
  AT_FRAME = 24,
  AT_STAMP = 32,
  AT_PAYLOAD = 40,
  AT_SESSION = 48,
  AT_RESERVED = 56
};

static void put_u32(uint8_t *at, uint32_t v) {
  for (int i = 0; i < 4; i++) at[i] = (uint8_t)(v >> (8 * i));
}

static void put_u64(uint8_t *at, uint64_t v) {
  for (int i = 0; i < 8; i++) at[i] = (uint8_t)(v >> (8 * i));
}

static uint32_t get_u32(const uint8_t *at) {
  uint32_t v = 0;
  for (int i = 0; i < 4; i++) v |= (uint32_t)at[i] << (8 * i);
  return v;
}

static uint64_t get_u64(const uint8_t *at) {
  uint64_t v = 0;
  for (int i = 0; i < 8; i++) v |= (uint64_t)at[i] << (8 * i);
  return v;
}

/* ------------------------------------------------------------------------------------ rules of each type
 * What readers may rely on without looking again: indices fit an int, a band is not empty, a payload is only where one
 * is defined. Fields that a type does not use are not looked at. */
struct rule {
  const char *name;
  bool has_payload;
  bool (*fields_ok)(const struct braid_msg *msg, size_t max_payload_bytes);
  size_t max_payload_bytes; /* of this type; 0: what the receiver takes */
};

static bool any_fields(const struct braid_msg *msg, size_t max_payload_bytes) {
  (void)msg, (void)max_payload_bytes;
  return true;
}

static bool workers_ok(const struct braid_msg *msg, size_t max_payload_bytes) {
  (void)max_payload_bytes;
  return msg->node <= INT32_MAX;
}

static bool refuse_ok(const struct braid_msg *msg, size_t max_payload_bytes) {
  (void)max_payload_bytes;
  return msg->begin > BRAID_OK && msg->begin <= BRAID_EIO;
}

static bool plan_ok(const struct braid_msg *msg, size_t max_payload_bytes) {
  (void)max_payload_bytes;
  return msg->begin <= INT32_MAX;
}

static bool data_ok(const struct braid_msg *msg, size_t max_payload_bytes) {
  (void)max_payload_bytes;
  return msg->node <= INT32_MAX && msg->end <= INT32_MAX && msg->begin < msg->end;
}

static bool ping_ok(const struct braid_msg *msg, size_t max_payload_bytes) {
  return msg->begin <= max_payload_bytes; /* else a PING would make us allocate and send without a limit */
}

/* What a peer reports of itself; an ACK has a flag, too. */
static bool report_ok(const struct braid_msg *msg, size_t max_payload_bytes) {
  (void)max_payload_bytes;
  return msg->node <= INT32_MAX && msg->begin <= BRAID_LOAD_MAX;
}

static bool ack_ok(const struct braid_msg *msg, size_t max_payload_bytes) {
  return report_ok(msg, max_payload_bytes) && msg->end <= 1;
}

static bool want_ok(const struct braid_msg *msg, size_t max_payload_bytes) {
  (void)max_payload_bytes;
  return msg->begin <= INT32_MAX;
}

static bool pong_ok(const struct braid_msg *msg, size_t max_payload_bytes) {
  return report_ok(msg, max_payload_bytes) && msg->end <= BRAID_LOAD_MAX;
}

static const struct rule rules[BRAID_MSG_TYPE_END] = {
    [BRAID_MSG_HELLO] = {"HELLO", true, workers_ok},
    [BRAID_MSG_WELCOME] = {"WELCOME", true, workers_ok},
    [BRAID_MSG_REFUSE] = {"REFUSE", true, refuse_ok},
    [BRAID_MSG_PLAN] = {"PLAN", true, plan_ok},
    [BRAID_MSG_PLAN_OK] = {"PLAN_OK", false, any_fields},
    [BRAID_MSG_DATA] = {"DATA", true, data_ok},
    [BRAID_MSG_ACK] = {"ACK", false, ack_ok},
    [BRAID_MSG_PING] = {"PING", true, ping_ok},
    [BRAID_MSG_PONG] = {"PONG", true, pong_ok},
    [BRAID_MSG_BYE] = {"BYE", false, any_fields},
    [BRAID_MSG_RETIRE] = {"RETIRE", false, any_fields},
    [BRAID_MSG_DRAIN] = {"DRAIN", false, any_fields},
    [BRAID_MSG_JOIN] = {"JOIN", false, any_fields},
    [BRAID_MSG_MEET] = {"MEET", true, any_fields},
    [BRAID_MSG_GONE] = {"GONE", false, any_fields},
    [BRAID_MSG_DELIVERED] = {"DELIVERED", false, any_fields},
    [BRAID_MSG_ASK] = {"ASK", false, any_fields},
    [BRAID_MSG_STATE] = {"STATE", false, ack_ok},
    [BRAID_MSG_WANT] = {"WANT", false, want_ok},
    [BRAID_MSG_MODEL] = {"MODEL", true, any_fields, BRAID_MODEL_PART_MAX},
};

/* ---------------------------------------------------------------------------------------- encode, decode */

void braid_wire_encode_header(const struct braid_msg *msg, uint8_t out[BRAID_WIRE_HEADER_BYTES]) {
  memset(out, 0, BRAID_WIRE_HEADER_BYTES);
  memcpy(out + AT_MAGIC, magic, sizeof magic);
  out[AT_VERSION] = BRAID_WIRE_VERSION;
  out[AT_TYPE] = (uint8_t)msg->type;
  out[AT_CODEC] = (uint8_t)msg->codec;
  put_u32(out + AT_EPOCH, msg->epoch);
  put_u32(out + AT_NODE, msg->node);
  put_u32(out + AT_BEGIN, msg->begin);
  put_u32(out + AT_END, msg->end);
  put_u64(out + AT_FRAME, msg->frame);
  put_u64(out + AT_STAMP, (uint64_t)msg->stamp_ns);
  put_u64(out + AT_PAYLOAD, msg->payload_bytes);
  put_u64(out + AT_SESSION, msg->session);
}

static enum braid_status check_envelope(const uint8_t *src, size_t size) {
  if (size != BRAID_WIRE_HEADER_BYTES)
    return braid_fail(BRAID_EPROTO, "header of %zu bytes; it has %d", size, BRAID_WIRE_HEADER_BYTES);
  if (memcmp(src + AT_MAGIC, magic, sizeof magic) != 0)
    return braid_fail(BRAID_EPROTO, "not a Braid message (magic %02x %02x %02x %02x)", src[0], src[1], src[2], src[3]);
  if (src[AT_VERSION] != BRAID_WIRE_VERSION)
    return braid_fail(BRAID_EPROTO,
                      "wire version %d; this program speaks version %d: use the same release on both sides",
                      src[AT_VERSION], BRAID_WIRE_VERSION);
  for (size_t i = AT_RESERVED; i < BRAID_WIRE_HEADER_BYTES; i++)
    if (src[i] != 0) return braid_fail(BRAID_EPROTO, "reserved header byte %zu is %d, not 0", i, src[i]);
  if (src[AT_ZERO] != 0) return braid_fail(BRAID_EPROTO, "reserved header byte %d is %d, not 0", AT_ZERO, src[AT_ZERO]);
  return BRAID_OK;
}

static enum braid_status check_fields(const struct braid_msg *msg, uint64_t payload_bytes, size_t max_payload_bytes) {
  const struct rule *rule = &rules[msg->type];
  if (rule->max_payload_bytes && rule->max_payload_bytes < max_payload_bytes)
    max_payload_bytes = rule->max_payload_bytes;
  if (payload_bytes > max_payload_bytes)
    return braid_fail(BRAID_EPROTO, "%s announces a payload of %" PRIu64 " bytes; the limit is %zu", rule->name,
                      payload_bytes, max_payload_bytes);
  if (payload_bytes > 0 && !rule->has_payload)
    return braid_fail(BRAID_EPROTO, "%s announces a payload of %" PRIu64 " bytes; it has none", rule->name,
                      payload_bytes);
  if (msg->stamp_ns < 0) return braid_fail(BRAID_EPROTO, "%s has a negative time stamp", rule->name);
  if (!rule->fields_ok(msg, max_payload_bytes))
    return braid_fail(BRAID_EPROTO, "%s has fields out of range (node %" PRIu32 ", begin %" PRIu32 ", end %" PRIu32 ")",
                      rule->name, msg->node, msg->begin, msg->end);
  return BRAID_OK;
}

enum braid_status braid_wire_decode_header(const uint8_t *src, size_t size, size_t max_payload_bytes,
                                           struct braid_msg *msg) {
  BRAID_TRY(check_envelope(src, size));
  if (src[AT_TYPE] >= BRAID_MSG_TYPE_END || !rules[src[AT_TYPE]].name)
    return braid_fail(BRAID_EPROTO, "unknown message type %d", src[AT_TYPE]);
  if (src[AT_CODEC] != BRAID_CODEC_RAW) return braid_fail(BRAID_EPROTO, "unknown codec %d", src[AT_CODEC]);
  struct braid_msg decoded = {
      .type = (enum braid_msg_type)src[AT_TYPE],
      .codec = (enum braid_codec)src[AT_CODEC],
      .epoch = get_u32(src + AT_EPOCH),
      .node = get_u32(src + AT_NODE),
      .begin = get_u32(src + AT_BEGIN),
      .end = get_u32(src + AT_END),
      .frame = get_u64(src + AT_FRAME),
      .stamp_ns = (int64_t)get_u64(src + AT_STAMP),
      .session = get_u64(src + AT_SESSION),
  };
  uint64_t payload_bytes = get_u64(src + AT_PAYLOAD);
  BRAID_TRY(check_fields(&decoded, payload_bytes, max_payload_bytes));
  decoded.payload_bytes = (size_t)payload_bytes;
  *msg = decoded;
  return BRAID_OK;
}
