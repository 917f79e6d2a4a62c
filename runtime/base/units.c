/* SPDX-License-Identifier: Apache-2.0
 * "20mbit", "10ms", "64MiB": numbers with units, as options, traces and configs write them. Own digits, not strtod: no
 * locale, no hex, no "inf", and whole numbers stay exact. */
#include "braid/base.h"

#include <math.h>
#include <string.h>
#include <strings.h>

struct unit {
  const char *name;
  uint64_t factor; /* to the base unit */
};

/* whole + fraction, then a unit */
struct number {
  uint64_t whole;
  double fraction;
  const char *unit;
};

static bool read_whole(const char **text, uint64_t *whole) {
  const char *at = *text;
  for (*whole = 0; *at >= '0' && *at <= '9'; at++)
    if (__builtin_mul_overflow(*whole, 10, whole) || __builtin_add_overflow(*whole, (uint64_t)(*at - '0'), whole))
      return false;
  bool any = at != *text;
  *text = at;
  return any;
}

static bool read_fraction(const char **text, double *fraction) {
  const char *at = *text;
  double digit = 0.1;
  for (*fraction = 0; *at >= '0' && *at <= '9'; at++, digit /= 10) *fraction += digit * (*at - '0');
  bool any = at != *text;
  *text = at;
  return any;
}

static bool read_number(const char *text, struct number *out) {
  out->fraction = 0;
  if (!read_whole(&text, &out->whole)) return false;
  if (*text == '.') {
    text++;
    if (!read_fraction(&text, &out->fraction)) return false;
  }
  out->unit = text;
  return true;
}

static const struct unit *find_unit(const struct unit *units, const char *name) {
  for (; units->name; units++)
    if (strcasecmp(units->name, name) == 0) return units;
  return NULL;
}

static enum braid_status bad(const char *text, const char *what, const char *example) {
  return braid_fail(BRAID_EINVAL, "'%s' is not a %s; write it like %s", text, what, example);
}

/* In the base unit, rounded to a whole number that is at most `most`. */
static enum braid_status parse_whole(const char *text, const struct unit *units, const char *what, const char *example,
                                     uint64_t most, uint64_t *out) {
  struct number number;
  if (!read_number(text, &number)) return bad(text, what, example);
  const struct unit *unit = find_unit(units, number.unit);
  if (!unit) return bad(text, what, example);
  uint64_t value;
  if (__builtin_mul_overflow(number.whole, unit->factor, &value) ||
      __builtin_add_overflow(value, (uint64_t)llround(number.fraction * (double)unit->factor), &value) || value > most)
    return braid_fail(BRAID_EINVAL, "'%s' is too large for a %s", text, what);
  *out = value;
  return BRAID_OK;
}

enum braid_status braid_parse_duration_ns(const char *text, int64_t *ns) {
  static const struct unit units[] = {
      {"ns", 1}, {"us", 1000}, {"ms", 1000000}, {"s", 1000000000}, {"min", UINT64_C(60000000000)}, {NULL, 0}};
  uint64_t value;
  if (strcmp(text, "0") == 0) {
    *ns = 0;
    return BRAID_OK;
  }
  BRAID_TRY(parse_whole(text, units, "time", "10ms, 250us or 1.5s", INT64_MAX, &value));
  *ns = (int64_t)value;
  return BRAID_OK;
}

enum braid_status braid_parse_size(const char *text, size_t *bytes) {
  static const struct unit units[] = {{"", 1},          {"B", 1},           {"kB", 1000},
                                      {"MB", 1000000},  {"GB", 1000000000}, {"KiB", 1024},
                                      {"MiB", 1 << 20}, {"GiB", 1 << 30},   {NULL, 0}};
  uint64_t value;
  BRAID_TRY(parse_whole(text, units, "size", "64MiB, 500kB or 1024", SIZE_MAX, &value));
  *bytes = (size_t)value;
  return BRAID_OK;
}

enum braid_status braid_parse_rate(const char *text, double *bits_per_s) {
  static const struct unit units[] = {{"bit", 1}, {"kbit", 1000}, {"mbit", 1000000}, {"gbit", 1000000000}, {NULL, 0}};
  struct number number;
  if (!read_number(text, &number)) return bad(text, "rate", "20mbit, 1.5gbit or 500kbit");
  const struct unit *unit = find_unit(units, number.unit);
  if (!unit) return bad(text, "rate", "20mbit, 1.5gbit or 500kbit");
  double value = ((double)number.whole + number.fraction) * (double)unit->factor;
  if (value <= 0) return braid_fail(BRAID_EINVAL, "'%s': a rate must be above 0", text);
  if (value > 1e15) return braid_fail(BRAID_EINVAL, "'%s' is too large for a rate", text);
  *bits_per_s = value;
  return BRAID_OK;
}
