/* cache/base/hex.h - bytes as lower-case hex digits, and back. */
#ifndef DM_BASE_HEX_H
#define DM_BASE_HEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Write 2 * size digits and a NUL to out. */
void dm_hex_encode(char *out, const uint8_t *data, size_t size);

/* Read 2 * size digits; false if one is not of 0-9a-f. */
bool dm_hex_decode(uint8_t *out, size_t size, const char *text);

#endif
