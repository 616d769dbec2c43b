#pragma once

#include "diagram.h"

#include <string>

namespace draw {

/// A network as an SVG, which says more the nearer one looks.
std::string network_picture(const std::string& name, const convkit::Summary& summary,
                            const Item& network);

}  // namespace draw
