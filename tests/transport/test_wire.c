/* SPDX-License-Identifier: Apache-2.0 */
#include "braid/transport.h"

#include <criterion/criterion.h>
#include <string.h>

enum { LIMIT = 1 << 20 };

static struct braid_msg valid_message(enum braid_msg_type type) {
  struct braid_msg msg = {.type = type, .epoch = 3, .frame = 9, .stamp_ns = 5, .node = 7, .begin = 1, .end = 2};
  if (type == BRAID_MSG_ACK || type == BRAID_MSG_STATE) msg.end = 1;
  return msg;
}

/* One number is nobody's. */
static bool is_type(int type) {
  return type > 0 && type < BRAID_MSG_TYPE_END && type != 18;
}

static enum braid_status decode(const uint8_t *header, struct braid_msg *msg) {
  return braid_wire_decode_header(header, BRAID_WIRE_HEADER_BYTES, LIMIT, msg);
}

/* The format is a promise to other releases: docs/wire.md's table, byte by byte. */
Test(wire, the_bytes_are_those_of_the_document) {
  struct braid_msg msg = {.type = BRAID_MSG_DATA,
                          .epoch = 0x04030201,
                          .node = 0x14131211,
                          .begin = 0x24232221,
                          .end = 0x34333231,
                          .frame = UINT64_C(0x4847464544434241),
                          .stamp_ns = INT64_C(0x5857565554535251),
                          .payload_bytes = 0x61};
  uint8_t want[BRAID_WIRE_HEADER_BYTES] = {'B',  'R',  'D',  '1',  4,    6,    0,    0,    1,    2,    3,
                                           4,    0x11, 0x12, 0x13, 0x14, 0x21, 0x22, 0x23, 0x24, 0x31, 0x32,
                                           0x33, 0x34, 0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x51,
                                           0x52, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x61};
  uint8_t got[BRAID_WIRE_HEADER_BYTES];
  braid_wire_encode_header(&msg, got);
  cr_assert_eq(memcmp(got, want, sizeof got), 0);
}

Test(wire, what_is_encoded_decodes_the_same) {
  for (int type = 1; type < BRAID_MSG_TYPE_END; type++) {
    if (!is_type(type)) continue;
    struct braid_msg msg = valid_message((enum braid_msg_type)type), got;
    uint8_t header[BRAID_WIRE_HEADER_BYTES], again[BRAID_WIRE_HEADER_BYTES];
    braid_wire_encode_header(&msg, header);
    if (!is_type(type)) {
      cr_assert_eq(decode(header, &got), BRAID_EPROTO, "type %d", type);
      continue;
    }
    cr_assert_eq(decode(header, &got), BRAID_OK, "type %d: %s", type, braid_error());
    braid_wire_encode_header(&got, again);
    cr_assert_eq(memcmp(header, again, sizeof header), 0);
    cr_assert(!got.payload && !got.owner);
  }
}

Test(wire, every_length_but_one_is_refused) {
  uint8_t header[2 * BRAID_WIRE_HEADER_BYTES] = {0};
  struct braid_msg msg = valid_message(BRAID_MSG_DATA), got;
  braid_wire_encode_header(&msg, header);
  for (size_t size = 0; size <= sizeof header; size++)
    cr_assert_eq(braid_wire_decode_header(header, size, LIMIT, &got),
                 size == BRAID_WIRE_HEADER_BYTES ? BRAID_OK : BRAID_EPROTO);
}

Test(wire, hostile_fields_are_refused) {
  struct hostile {
    const char *what;
    int at;
    uint8_t value;
    enum braid_msg_type type;
  } cases[] = {
      {"magic", 0, 'b', BRAID_MSG_PING},
      {"older version", 4, 0, BRAID_MSG_PING},
      {"last release's version", 4, 3, BRAID_MSG_PING},
      {"newer version", 4, 5, BRAID_MSG_PING},
      {"type 0", 5, 0, BRAID_MSG_PING},
      {"unknown type", 5, BRAID_MSG_TYPE_END, BRAID_MSG_PING},
      {"type that is not taken yet", 5, BRAID_MSG_GONE + 1, BRAID_MSG_PING},
      {"payload of a DELIVERED", 40, 1, BRAID_MSG_DELIVERED},
      {"type 255", 5, 255, BRAID_MSG_PING},
      {"codec", 6, 1, BRAID_MSG_DATA},
      {"reserved", 7, 1, BRAID_MSG_PING},
      {"reserved", 56, 1, BRAID_MSG_PING},
      {"reserved", 63, 128, BRAID_MSG_PING},
      {"negative node", 15, 0x80, BRAID_MSG_DATA},
      {"negative begin", 19, 0x80, BRAID_MSG_DATA},
      {"negative end", 23, 0x80, BRAID_MSG_DATA},
      {"empty band", 16, 2, BRAID_MSG_DATA},
      {"negative time", 39, 0x80, BRAID_MSG_PING},
      {"payload over the limit", 43, 1, BRAID_MSG_DATA},
      {"payload of 2^63", 47, 0x80, BRAID_MSG_DATA},
      {"payload of an ACK", 40, 1, BRAID_MSG_ACK},
      {"amplifying ping", 19, 1, BRAID_MSG_PING},
      {"unknown status", 16, 200, BRAID_MSG_REFUSE},
      {"refusal that is ok", 16, 0, BRAID_MSG_REFUSE},
      {"negative workers", 15, 0x80, BRAID_MSG_HELLO},
      {"negative workers", 15, 0x80, BRAID_MSG_WELCOME},
      {"negative window", 19, 0x80, BRAID_MSG_PLAN},
      {"negative rate", 15, 0x80, BRAID_MSG_PONG},
      {"negative rate", 15, 0x80, BRAID_MSG_ACK},
      {"load beyond belief", 18, 0x11, BRAID_MSG_PONG},
      {"state of 16 million times the load", 23, 1, BRAID_MSG_STATE},
      {"16 million times more busy than can be", 23, 1, BRAID_MSG_PONG},
      {"load beyond belief", 19, 0x01, BRAID_MSG_ACK},
      {"unknown flag", 20, 2, BRAID_MSG_ACK},
      {"type between others that is none", 5, 18, BRAID_MSG_PING},
      {"payload of a WANT", 40, 1, BRAID_MSG_WANT},
      {"credit for more than any message", 19, 0x80, BRAID_MSG_WANT},
      {"MODEL of 512 KiB", 42, 8, BRAID_MSG_MODEL},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct braid_msg msg = valid_message(cases[i].type), got = {.node = 4711};
    uint8_t header[BRAID_WIRE_HEADER_BYTES];
    braid_wire_encode_header(&msg, header);
    header[cases[i].at] = cases[i].value;
    cr_assert_eq(decode(header, &got), BRAID_EPROTO, "%s was taken", cases[i].what);
    cr_assert_eq(got.node, 4711, "a refused header leaves the message alone");
    cr_assert_gt(strlen(braid_error()), 10);
  }
}

Test(wire, the_limit_itself_is_allowed) {
  struct braid_msg msg = valid_message(BRAID_MSG_DATA), got;
  uint8_t header[BRAID_WIRE_HEADER_BYTES];
  msg.payload_bytes = LIMIT;
  braid_wire_encode_header(&msg, header);
  cr_assert_eq(decode(header, &got), BRAID_OK);
  cr_assert_eq(got.payload_bytes, LIMIT);
  msg.payload_bytes++;
  braid_wire_encode_header(&msg, header);
  cr_assert_eq(decode(header, &got), BRAID_EPROTO);
}

Test(wire, a_part_of_a_model_has_a_limit_of_its_own) {
  struct braid_msg msg = valid_message(BRAID_MSG_MODEL), got;
  uint8_t header[BRAID_WIRE_HEADER_BYTES];
  msg.payload_bytes = BRAID_MODEL_PART_MAX;
  braid_wire_encode_header(&msg, header);
  cr_assert_eq(decode(header, &got), BRAID_OK);
  cr_assert_eq(braid_wire_decode_header(header, sizeof header, BRAID_MODEL_PART_MAX - 1, &got), BRAID_EPROTO,
               "the receiver's own limit counts, too");
  msg.payload_bytes++;
  braid_wire_encode_header(&msg, header);
  cr_assert_eq(decode(header, &got), BRAID_EPROTO);
}

/* Whatever is taken keeps the rules that readers rely on. */
Test(wire, random_headers_are_refused_or_sane) {
  int taken = 0;
  for (uint64_t seed = 0; seed < 200000; seed++) {
    struct braid_msg msg = valid_message((enum braid_msg_type)(1 + seed % (BRAID_MSG_TYPE_END - 1))), got;
    uint8_t header[BRAID_WIRE_HEADER_BYTES];
    braid_wire_encode_header(&msg, header);
    int flips = 1 + (int)(braid_random_u64(seed, 0) % 3);
    for (int f = 1; f <= flips; f++)
      header[4 + braid_random_u64(seed, f) % 60] ^= (uint8_t)(1 << braid_random_u64(seed, 10 + f) % 8);
    if (decode(header, &got) != BRAID_OK) continue;
    taken++;
    cr_assert(is_type(got.type) && got.payload_bytes <= LIMIT && got.stamp_ns >= 0);
    if (got.type == BRAID_MSG_DATA) cr_assert(got.node <= INT32_MAX && got.begin < got.end && got.end <= INT32_MAX);
  }
  cr_assert_gt(taken, 1000);
}
