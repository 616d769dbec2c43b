#pragma once

/// Marks what a shared build of the library exports; everything else stays hidden.
#define CONVKIT_API __attribute__((visibility("default")))
