// One function object of several lambdas, for std::visit: a kind that none of them takes does not compile. Pure.
#pragma once

namespace sprockets {

template <typename... Functions>
struct Overloaded : Functions... {
  using Functions::operator()...;
};
template <typename... Functions>
Overloaded(Functions...) -> Overloaded<Functions...>;

}  // namespace sprockets
