#pragma once

#include <convkit/activation.h>
#include <convkit/norm.h>

#include "parity/reference.h"

#include <functional>
#include <map>
#include <memory>
#include <string>

/// The C++ modules of the parity cases.
namespace parity {

using Maker = std::function<std::shared_ptr<torch::nn::Module>(const Case&)>;

/// By the name that tests/parity/modules.py gives the module.
const std::map<std::string, Maker>& makers();

std::map<std::string, Maker> layer_makers();
std::map<std::string, Maker> model_makers();
std::map<std::string, Maker> network_makers();
std::map<std::string, Maker> torch_makers();

/// Of the options that several modules share.
convkit::Norm norm(const Case& given);
convkit::Activation activation(const std::string& name);

}  // namespace parity
