/* SPDX-License-Identifier: Apache-2.0
 * Layer shapes from lines of text, and as such. */
#include "io.h"
#include "layer_shapes.h"

#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { DIM_MAX = 1 << 20 };

/* Numbers of a key: as many as `count`, or one for all of them. `usual` is what a line that has no such key means; -1:
 * it must have it. */
struct key {
  const char *name;
  enum braid_op op; /* of layers that have it; BRAID_OP_INPUT: all */
  size_t offset;
  int count;
  char separator;
  int least, most, usual;
};
#define KEY(member) offsetof(struct layer_shape, member)
static const struct key keys[] = {
    {"in", BRAID_OP_CONV, KEY(in), 3, 'x', 1, DIM_MAX, -1},
    {"out", BRAID_OP_CONV, KEY(out), 1, 'x', 1, DIM_MAX, -1},
    {"kernel", BRAID_OP_CONV, KEY(kernel), 2, 'x', 1, 4096, -1},
    {"stride", BRAID_OP_CONV, KEY(stride), 2, 'x', 1, 4096, 1},
    {"pad", BRAID_OP_CONV, KEY(pad), 4, ',', 0, 4096, 0},
    {"dilation", BRAID_OP_CONV, KEY(dilation), 2, 'x', 1, 4096, 1},
    {"group", BRAID_OP_CONV, KEY(group), 1, 'x', 1, DIM_MAX, 1},
    {"batch", BRAID_OP_CONV, KEY(batch), 1, 'x', 1, 4096, 1},
    {"residual", BRAID_OP_CONV, KEY(residual), 1, 'x', 0, 1, 0},
    {"m", BRAID_OP_GEMM, KEY(m), 1, 'x', 1, DIM_MAX, -1},
    {"n", BRAID_OP_GEMM, KEY(n), 1, 'x', 1, DIM_MAX, -1},
    {"k", BRAID_OP_GEMM, KEY(k), 1, 'x', 1, DIM_MAX, -1},
    {"trans_a", BRAID_OP_GEMM, KEY(trans_a), 1, 'x', 0, 1, 0},
    {"trans_b", BRAID_OP_GEMM, KEY(trans_b), 1, 'x', 0, 1, 0},
    {"bias", BRAID_OP_INPUT, KEY(bias), 1, 'x', 0, 1, 1},
    {"count", BRAID_OP_INPUT, KEY(count), 1, 'x', 1, DIM_MAX, 1},
};
enum { KEYS = sizeof keys / sizeof *keys };

/* Activations that the executor fuses; a and b follow after colons where an operator has them: Clip:0:6. */
static const enum braid_op acts[] = {BRAID_OP_RELU,         BRAID_OP_LEAKY_RELU, BRAID_OP_CLIP, BRAID_OP_SIGMOID,
                                     BRAID_OP_HARD_SIGMOID, BRAID_OP_HARD_SWISH, BRAID_OP_TANH, BRAID_OP_ELU};

static int *numbers(struct layer_shape *l, const struct key *key) {
  return (int *)(void *)((char *)l + key->offset);
}

static bool belongs(const struct key *key, enum braid_op op) {
  return key->op == op || key->op == BRAID_OP_INPUT;
}

/* ------------------------------------------------------------------------------------------------ reading */

static enum braid_status read_numbers(const struct key *key, const char *text, int *out) {
  int n = 0;
  const char *at = text;
  for (char *end; n < key->count; at = end + 1) {
    errno = 0;
    long v = strtol(at, &end, 10);
    if (end == at || errno || v < key->least || v > key->most)
      return braid_fail(BRAID_EFORMAT, "%s=%s: a number from %d to %d is expected at '%s'", key->name, text, key->least,
                        key->most, at);
    out[n++] = (int)v;
    if (*end == '\0') break;
    if (*end != key->separator || n == key->count)
      return braid_fail(BRAID_EFORMAT, "%s=%s: '%s' is too much; it has %d number(s), with '%c' between them",
                        key->name, text, end, key->count, key->separator);
  }
  if (n != 1 && n != key->count)
    return braid_fail(BRAID_EFORMAT, "%s=%s: it has 1 or %d numbers, not %d", key->name, text, key->count, n);
  for (int i = n; i < key->count; i++) out[i] = out[0];
  return BRAID_OK;
}

static enum braid_status read_act(const char *text, struct braid_act *out) {
  size_t n = strcspn(text, ":");
  if (strcmp(text, "none") == 0) return BRAID_OK;
  for (size_t i = 0; i < sizeof acts / sizeof *acts; i++) {
    if (strlen(braid_op_name(acts[i])) != n || strncmp(text, braid_op_name(acts[i]), n) != 0) continue;
    *out = (struct braid_act){.op = acts[i]};
    if (text[n] == '\0' || sscanf(text + n, ":%f:%f", &out->attrs.a, &out->attrs.b) == 2) return BRAID_OK;
    return braid_fail(BRAID_EFORMAT, "act=%s: two numbers follow the name, as in Clip:0:6, or none", text);
  }
  return braid_fail(BRAID_EFORMAT, "act=%s: there is no such activation; Relu, Clip:0:6, HardSwish, ... or none", text);
}

static enum braid_status read_pair(char *word, struct layer_shape *l, bool seen[KEYS]) {
  char *value = strchr(word, '=');
  if (!value) return braid_fail(BRAID_EFORMAT, "'%s' is not key=value", word);
  *value++ = '\0';
  if (strcmp(word, "act") == 0) return read_act(value, &l->act);
  if (strcmp(word, "name") == 0) {
    snprintf(l->name, sizeof l->name, "%s", value);
    return BRAID_OK;
  }
  for (int i = 0; i < KEYS; i++) {
    if (strcmp(keys[i].name, word) != 0 || !belongs(&keys[i], l->op)) continue;
    if (seen[i]) return braid_fail(BRAID_EFORMAT, "'%s' comes twice", word);
    seen[i] = true;
    return read_numbers(&keys[i], value, numbers(l, &keys[i]));
  }
  return braid_fail(BRAID_EFORMAT, "a %s has no '%s'", l->op == BRAID_OP_CONV ? "conv" : "gemm", word);
}

static enum braid_status fill_in(struct layer_shape *l, const bool seen[KEYS]) {
  for (int i = 0; i < KEYS; i++) {
    if (seen[i] || !belongs(&keys[i], l->op)) continue;
    if (keys[i].usual < 0) return braid_fail(BRAID_EFORMAT, "'%s=' is missing", keys[i].name);
    for (int k = 0; k < keys[i].count; k++) numbers(l, &keys[i])[k] = keys[i].usual;
  }
  return BRAID_OK;
}

/* Whatever a benchmark would allocate for it. */
static enum braid_status check(const struct layer_shape *l) {
  struct braid_shape out = layer_shape_out(l);
  if (l->op == BRAID_OP_CONV && (l->in[0] % l->group || l->out % l->group))
    return braid_fail(BRAID_EFORMAT, "group=%d does not divide %d and %d channels", l->group, l->in[0], l->out);
  if (l->op == BRAID_OP_CONV && (out.dim[2] < 1 || out.dim[3] < 1))
    return braid_fail(BRAID_EFORMAT, "the kernel is larger than the padded input");
  double in = l->op == BRAID_OP_CONV ? (double)l->batch * l->in[0] * l->in[1] * l->in[2] : (double)l->m * l->k;
  double result = 1;
  for (int d = 0; d < out.rank; d++) result *= out.dim[d];
  double weights =
      l->op == BRAID_OP_CONV ? (double)l->out * l->in[0] / l->group * l->kernel[0] * l->kernel[1] : (double)l->n * l->k;
  if (fmax(fmax(in, result), weights) > 1 << 28)
    return braid_fail(BRAID_EFORMAT, "a tensor of more than 1 GiB is too large to be timed");
  return BRAID_OK;
}

/* false in *is_layer: nothing but blanks and a comment. */
static enum braid_status read_line(char *line, struct layer_shape *l, bool *is_layer) {
  bool seen[KEYS] = {false};
  char *rest = NULL;
  line[strcspn(line, "#\r")] = '\0';
  char *word = strtok_r(line, " \t", &rest);
  *l = (struct layer_shape){.act = {.op = BRAID_ACT_NONE}};
  *is_layer = word != NULL;
  if (!word) return BRAID_OK;
  if (strcmp(word, "conv") != 0 && strcmp(word, "gemm") != 0)
    return braid_fail(BRAID_EFORMAT, "'%s' is no operator; a line begins with conv or gemm", word);
  l->op = *word == 'c' ? BRAID_OP_CONV : BRAID_OP_GEMM;
  while ((word = strtok_r(NULL, " \t", &rest))) BRAID_TRY(read_pair(word, l, seen));
  BRAID_TRY(fill_in(l, seen));
  if (!*l->name) return braid_fail(BRAID_EFORMAT, "'name=' is missing");
  return check(l);
}

static enum braid_status read_lines(char *text, const char *path, struct layer_shapes *all) {
  int number = 1;
  for (char *line = text; line; number++) {
    char *next = strchr(line, '\n');
    bool is_layer;
    if (next) *next++ = '\0';
    enum braid_status status = read_line(line, &all->layer[all->n], &is_layer);
    if (status != BRAID_OK) return braid_fail_in(status, "%s:%d", path, number);
    all->n += is_layer;
    line = next;
  }
  return all->n > 0 ? BRAID_OK : braid_fail(BRAID_EFORMAT, "%s: there is no layer in it", path);
}

enum braid_status layer_shapes_read(const char *path, struct layer_shapes *out) {
  uint8_t *bytes;
  size_t size, lines = 1;
  BRAID_TRY(io_read_file(path, (size_t)1 << 24, &bytes, &size));
  for (size_t i = 0; i < size; i++) lines += bytes[i] == '\n';
  char *text = braid_calloc(size + 1, 1);
  struct layer_shapes all = {.layer = braid_calloc(lines, sizeof *all.layer)};
  if (text) memcpy(text, bytes, size);
  enum braid_status status =
      text && all.layer ? read_lines(text, path, &all) : braid_fail(BRAID_ENOMEM, "%s: no memory for it", path);
  braid_free(text);
  braid_free(bytes);
  if (status == BRAID_OK)
    *out = all;
  else
    layer_shapes_free(&all);
  return status;
}

/* ------------------------------------------------------------------------------------------------ writing */

static int put_key(const struct layer_shape *l, const struct key *key, char *buf, size_t size) {
  const int *v = (const int *)(const void *)((const char *)l + key->offset);
  bool usual = true;
  for (int i = 0; i < key->count; i++) usual &= v[i] == key->usual;
  if (usual) return 0;
  int at = snprintf(buf, size, " %s=", key->name);
  for (int i = 0; i < key->count; i++) {
    if (i) buf[at++] = key->separator;
    at += snprintf(buf + at, size - (size_t)at, "%d", v[i]);
  }
  return at;
}

const char *layer_shape_text(const struct layer_shape *l, char buf[LAYER_LINE_BYTES]) {
  int at = snprintf(buf, LAYER_LINE_BYTES, "%s name=%s", l->op == BRAID_OP_CONV ? "conv" : "gemm", l->name);
  for (int i = 0; i < KEYS; i++)
    if (belongs(&keys[i], l->op)) at += put_key(l, &keys[i], buf + at, LAYER_LINE_BYTES - (size_t)at);
  if (l->act.op == BRAID_ACT_NONE) return buf;
  at += snprintf(buf + at, LAYER_LINE_BYTES - (size_t)at, " act=%s", braid_op_name(l->act.op));
  if (l->act.attrs.a != 0 || l->act.attrs.b != 0)
    snprintf(buf + at, LAYER_LINE_BYTES - (size_t)at, ":%g:%g", (double)l->act.attrs.a, (double)l->act.attrs.b);
  return buf;
}
