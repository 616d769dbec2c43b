#include <torch/nn/modules/embedding.h>

#include "compile/random_operators.h"

#include <ATen/ATen.h>

#include <vector>

namespace support {

namespace {

using at::indexing::Ellipsis;
using at::indexing::None;
using at::indexing::Slice;
using torch::Tensor;

RandomOperators transforms() {
  return {
      elementwise("fft_rfft", [](const Tensor& x) { return at::fft_rfft(x).abs() * 0.3; }),
      on_image("fft_rfft2", [](const Tensor& x) { return at::fft_rfft2(x) * 0.2; }),
      on_image("fft_rfft2 and back",
               [](const Tensor& x) {
                 const Tensor y = at::fft_rfft2(x);
                 return at::fft_irfft2(y * 0.9, x.sizes().slice(2));
               }),
      on_image("fft_fft2 and abs",
               [](const Tensor& x) { return at::fft_fft2(x, {}, {2, 3}, "ortho").abs(); }),
      on_image("fft_fftshift",
               [](const Tensor& x) {
                 const Tensor y = at::fft_fftshift(at::fft_fft2(x, {}, {2, 3}, "ortho"), {2, 3});
                 return at::real(at::fft_ifft2(at::fft_ifftshift(y, {2, 3}), {}, {2, 3}, "ortho"));
               }),
      {"filter of frequencies",
       [](Draw& d) {
         const Tensor w = d.weight({d.image().size(1), 1, 1});
         d.returns([w](const Tensors& v) {
           const Tensor y = at::fft_rfft2(v[0], {}, {-2, -1}, "ortho");
           return at::fft_irfft2(y * at::complex(w, w * 0.5), v[0].sizes().slice(2), {-2, -1},
                                 "ortho");
         });
       }},
  };
}

/// A A^T / n + I, for each matrix of a tensor: well-conditioned.
Tensor well_conditioned(const Tensor& x) {
  const Tensor a = x.tanh();
  const Tensor product = at::matmul(a, a.mT()) / static_cast<double>(a.size(-1));
  return product + at::eye(product.size(-1));
}

RandomOperators algebra() {
  const auto matrix = [](const std::string& name, auto function) {
    return RandomOperator{name, [function](Draw& d) {
                            const Tensor x = d.floats();
                            d.require(x.dim() > 1 && x.size(-2) < 12);
                            d.returns([function](const Tensors& v) { return function(v[0]); });
                          }};
  };
  return {
      matrix("linalg_inv", [](const Tensor& x) { return at::linalg_inv(well_conditioned(x)); }),
      matrix("inverse", [](const Tensor& x) { return at::inverse(well_conditioned(x)); }),
      matrix("linalg_cholesky",
             [](const Tensor& x) { return at::linalg_cholesky(well_conditioned(x)); }),
      matrix("cholesky", [](const Tensor& x) { return at::cholesky(well_conditioned(x)); }),
      matrix("linalg_det",
             [](const Tensor& x) { return at::linalg_det(well_conditioned(x)).log1p(); }),
      matrix("linalg_solve",
             [](const Tensor& x) { return at::linalg_solve(well_conditioned(x), x.tanh()); }),
      matrix("linalg_norm",
             [](const Tensor& x) { return at::linalg_norm(well_conditioned(x)) * 0.2; }),
      matrix("linalg_vector_norm",
             [](const Tensor& x) { return at::linalg_vector_norm(x, 3, {-1}) * 0.5; }),
      matrix("matrix_power",
             [](const Tensor& x) { return at::matrix_power(well_conditioned(x), 2) * 0.3; }),
      {"kron",
       [](Draw& d) {
         const Tensor w = d.weight({2, 2}, 0.5);
         d.floats(d.chance(50) ? 2 : 4);
         d.returns([w](const Tensors& v) { return at::kron(v[0], w); });
       }},
      {"outer",
       [](Draw& d) {
         d.floats(1);
         d.returns([](const Tensors& v) { return at::outer(v[0], v[0].narrow(0, 0, 2).tanh()); });
       }},
      {"linalg_cross",
       [](Draw& d) {
         d.image();
         d.same_size();
         d.returns([](const Tensors& v) {
           return at::linalg_cross(v[0].narrow(3, 0, 3), v[1].narrow(3, 1, 3), 3);
         });
       }},
      elementwise("diag_embed", [](const Tensor& x) { return at::diag_embed(x) * 0.7; }),
  };
}

RandomOperators indexing() {
  return {
      {"index by a tensor",
       [](Draw& d) {
         d.floats();
         const Tensor order = d.constant(at::tensor({1, 0, 1}));
         d.returns([order](const Tensors& v) { return v[0].index({Ellipsis, order}); });
       }},
      on_image("index by slices",
               [](const Tensor& x) {
                 return x.index({Slice(), Slice(), Slice(1, {}, 2), Slice(0, -1)});
               }),
      on_image(
          "index of channels in another order",
          [](const Tensor& x) { return x.index({Slice(), at::arange(x.size(1) - 1, -1, -1)}); }),
      elementwise("index of a new dimension",
                  [](const Tensor& x) { return x.index({None, Ellipsis}).squeeze(0) + 0.1; }),
      elementwise("index_select",
                  [](const Tensor& x) { return x.index_select(-1, at::tensor({0, 2, 1, 2})); }),
      elementwise("gather",
                  [](const Tensor& x) {
                    const Tensor index = at::arange(x.size(-1) - 1, -1, -1).expand_as(x);
                    return x.gather(-1, index);
                  }),
      {"gather of the largest",
       [](Draw& d) {
         d.floats();
         d.rounds();
         d.returns([](const Tensors& v) {
           const Tensor index = v[0].argmax(-1, true);
           return v[0].gather(-1, index).squeeze(-1) * 0.5;
         });
       }},
      {"take_along_dim",
       [](Draw& d) {
         d.floats();
         d.rounds();
         d.returns([](const Tensors& v) {
           return at::take_along_dim(v[0], at::argsort(v[0], int64_t{-1}).narrow(-1, 0, 2), -1);
         });
       }},
      {"index by computed numbers",
       [](Draw& d) {
         const Tensor x = d.floats();
         const Tensor table = d.weight({5, 3});
         d.rounds();
         d.returns([table](const Tensors& v) {
           return table.index({v[0].abs().to(torch::kLong).clamp(0, 4)}).mean(-1);
         });
       }},
      {"embedding",
       [](Draw& d) {
         d.of(torch::kLong);
         auto table = d.keep(torch::nn::Embedding(8, 4));
         const bool image = d.chance(60);
         d.returns([=](const Tensors& v) mutable {
           const Tensor y = table(v[0].clamp(0, 7));
           return image && y.dim() == 4 ? y.permute({0, 3, 1, 2}) : y;
         });
       }},
      {"one_hot",
       [](Draw& d) {
         d.of(torch::kLong);
         d.returns([](const Tensors& v) {
           return at::one_hot(v[0].clamp(0, 3), 4).to(torch::kFloat32).movedim(-1, 1);
         });
       }},
      {"gather by labels",
       [](Draw& d) {
         const int64_t channels = d.image().size(1);
         d.of(torch::kLong);
         d.returns([channels](const Tensors& v) {
           const Tensor index = v[1].clamp(0, channels - 1).unsqueeze(1);
           return v[0].log_softmax(1).gather(1, index).squeeze(1);
         });
       }},
      {"scatter",
       [](Draw& d) {
         d.floats();
         d.returns([](const Tensors& v) {
           const Tensor index = at::zeros(v[0].sizes(), at::kLong).narrow(-1, 0, 1);
           return v[0].scatter(-1, index, v[0].narrow(-1, 1, 1) + 0.3);
         });
       }},
      {"scatter_reduce",
       [](Draw& d) {
         const Tensor x = d.floats(2);
         d.returns([](const Tensors& v) {
           const Tensor index = at::arange(v[0].size(1)).remainder(3).expand_as(v[0]);
           const Tensor start = at::zeros({v[0].size(0), 3});
           return start.scatter_reduce(1, index, v[0], "amax");
         });
       }},
      {"masked attention",
       [](Draw& d) {
         d.floats(3);
         d.returns([](const Tensors& v) {
           const int64_t length = v[0].size(1);
           const Tensor mask = at::ones({length, length}, at::kBool).tril();
           const Tensor scores = at::matmul(v[0], v[0].mT()) * 0.2;
           return at::matmul(scores.masked_fill(mask.logical_not(), -1e9).softmax(-1), v[0]);
         });
       }},
      elementwise("meshgrid",
                  [](const Tensor& x) {
                    const auto grids = at::meshgrid(
                        {x.flatten().narrow(0, 0, 3), x.flatten().narrow(0, 1, 3)}, "ij");
                    return grids[0] * 0.5 + grids[1];
                  }),
      elementwise("repeat_interleave", [](const Tensor& x) { return x.repeat_interleave(2, -1); }),
      elementwise("tile", [](const Tensor& x) { return x.narrow(-1, 0, 2).tile({2}); }),
  };
}

}  // namespace

RandomOperators index_operators() {
  RandomOperators all = transforms();
  append(all, algebra());
  append(all, indexing());
  return all;
}

}  // namespace support
