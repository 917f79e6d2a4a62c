/* SPDX-License-Identifier: Apache-2.0 */
#include "braid/base.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

Test(units, rates) {
  static const struct {
    const char *text;
    double bits_per_s;
  } good[] = {{"20mbit", 20e6}, {"1gbit", 1e9}, {"1.5Gbit", 1.5e9}, {"500kbit", 5e5}, {"8bit", 8}, {"0.25Mbit", 25e4}};
  static const char *const bad[] = {
      "",           "mbit",   "20",        "20 mbit", " 20mbit", "20mbit ", "-20mbit",
      "+5mbit",     "0mbit",  "0.0gbit",   "20mb",    "20mbits", "1e3mbit", "0x10mbit",
      "1.mbit",     ".5mbit", "1.2.3mbit", "infmbit", "nanmbit", "1,5mbit", "99999999999999999999mbit",
      "9999999gbit"};
  double value;
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
    cr_assert_eq(braid_parse_rate(good[i].text, &value), BRAID_OK, "%s: %s", good[i].text, braid_error());
    cr_assert(fabs(value - good[i].bits_per_s) < 1e-6 * good[i].bits_per_s, "%s is %g", good[i].text, value);
  }
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    value = 4711;
    cr_assert_eq(braid_parse_rate(bad[i], &value), BRAID_EINVAL, "'%s' was taken", bad[i]);
    cr_assert(value == 4711 && strstr(braid_error(), bad[i]));
  }
}

Test(units, durations) {
  static const struct {
    const char *text;
    int64_t ns;
  } good[] = {{"10ms", 10000000},
              {"250us", 250000},
              {"0", 0},
              {"0ms", 0},
              {"1.5s", 1500000000},
              {"7ns", 7},
              {"2min", INT64_C(120000000000)},
              {"9223372036s", INT64_C(9223372036000000000)},
              {"0.1ms", 100000}};
  static const char *const bad[] = {
      "", "10", "ms", "-1ms", "1 ms", "1msx", "9223372037s", "18446744073709551616ns", "1e3ms", "00x"};
  int64_t value;
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
    cr_assert_eq(braid_parse_duration_ns(good[i].text, &value), BRAID_OK, "%s: %s", good[i].text, braid_error());
    cr_assert_eq(value, good[i].ns, "%s is %lld", good[i].text, (long long)value);
  }
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    cr_assert_eq(braid_parse_duration_ns(bad[i], &value), BRAID_EINVAL, "'%s' was taken", bad[i]);
}

Test(units, sizes) {
  static const struct {
    const char *text;
    size_t bytes;
  } good[] = {{"64MiB", 64 << 20},
              {"1024", 1024},
              {"0", 0},
              {"500kB", 500000},
              {"1.5KiB", 1536},
              {"2gb", 2000000000},
              {"3B", 3},
              {"18446744073709551615", SIZE_MAX},
              {"8589934592GiB", (size_t)1 << 63}};
  static const char *const bad[] = {
      "", "MiB", "-1", "1 MiB", "64MiBs", "64M", "17179869184GiB", "18446744073709551616", "1.5.KiB"};
  size_t value;
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
    cr_assert_eq(braid_parse_size(good[i].text, &value), BRAID_OK, "%s: %s", good[i].text, braid_error());
    cr_assert_eq(value, good[i].bytes, "%s is %zu", good[i].text, value);
  }
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    cr_assert_eq(braid_parse_size(bad[i], &value), BRAID_EINVAL, "'%s' was taken", bad[i]);
}
