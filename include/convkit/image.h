#pragma once

#include <convkit/module.h>

#include <torch/types.h>

#include <cstdint>
#include <string>
#include <string_view>

/// Images in files, pixel for pixel as Python's Pillow reads them: JPEG, PNG, and PPM with its kin PGM
/// and PBM. The file's first bytes say which it is, not its name.
///
///     torch::Tensor image = convkit::read_image("photo.jpg");  // uint8 [3, H, W]
namespace convkit {

/// Options of read_image() and decode_image().
struct ReadImageOptions {
  /// What becomes of the pixels, by Pillow's names: L (grey), LA (grey and alpha), RGB, RGBA, CMYK, P
  /// (the numbers of a palette's colors, of a file that has one), I and I;16 (grey in whole numbers
  /// above 255). Empty leaves them as the file has them.
  std::string mode = "RGB";
  /// Turns the image as the camera was held, as PIL.ImageOps.exif_transpose() does.
  bool exif_orientation = false;
  /// More are refused before memory is asked for: Pillow's limit of pixels.
  int64_t max_pixels = 178'956'970;
};

/// The pixels of an image file. None of its color profiles is applied, and of an animation it is the
/// first image.
///
/// Shape:   [1, H, W] for L, P, I and I;16; [2, H, W] for LA; [3, H, W] for RGB; [4, H, W] for RGBA
///          and CMYK; uint8, but int32 for I and I;16. Black and white files are read as L.
/// Throws:  c10::ValueError for a mode that is none of these; c10::Error, with one sentence, for a file
///          that cannot be read, is damaged or cut, has more pixels than max_pixels, or has no pixels
///          of that mode; where convkit was built without the library for its format.
/// Source:  PIL.Image.open(path).convert(mode) of Pillow 13
/// Differs: P of a file without a palette is refused: Pillow chooses 256 colors. So is a PNG without
///          its palette, its end, or rows that its header promises, or with chunks that a reader has
///          to know; Pillow makes something of them. The texts of a PNG are not looked at. The
///          orientation is that of EXIF alone, not that of XMP.
CONVKIT_API torch::Tensor read_image(const std::string& path, const ReadImageOptions& options = {});

/// read_image() of a file's bytes.
CONVKIT_API torch::Tensor decode_image(std::string_view bytes,
                                       const ReadImageOptions& options = {});

/// Options of write_image() and encode_image().
struct WriteImageOptions {
  int quality = 75;  ///< of a JPEG, from 0 to 100; its colors have half the resolution
};

/// Writes an image to a file whose name ends in .jpg, .jpeg, .png, .ppm or .pgm: whole, or not at all.
///
/// Shape:   uint8 [C, H, W] of 1 (grey) or 3 (RGB) channels; of a PNG also 2 (grey and alpha) and 4
///          (RGBA)
/// Throws:  c10::ValueError for another image, name or quality; c10::Error for a file that cannot be
///          written.
/// Source:  PIL.Image.Image.save, whose JPEG files have the same bytes; those of PNG files differ
CONVKIT_API void write_image(const torch::Tensor& image, const std::string& path,
                             const WriteImageOptions& options = {});

/// The bytes of the file that write_image() writes: `format` is jpeg, png or ppm.
CONVKIT_API std::string encode_image(const torch::Tensor& image, const std::string& format,
                                     const WriteImageOptions& options = {});

}  // namespace convkit
