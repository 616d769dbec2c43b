// How a compiled module explains itself, as text and as JSON.
#include <convkit/compile.h>

#include <iomanip>
#include <nlohmann/json.hpp>
#include <sstream>

namespace convkit {

namespace {

using nlohmann::ordered_json;

/// "9.2 MiB", and below a tenth of one "1.5 KiB".
std::string size_text(int64_t bytes) {
  const bool small = bytes < 1024 * 1024 / 10;
  std::ostringstream text;
  text << std::fixed << std::setprecision(1)
       << static_cast<double>(bytes) / (small ? 1024 : 1024 * 1024) << (small ? " KiB" : " MiB");
  return text.str();
}

std::string text_of(const PlanExplanation::Input& input) {
  return c10::str(torch::IntArrayRef(input.sizes), input.channels_last ? " channels_last" : "",
                  input.device == "cpu" ? "" : " on " + input.device);
}

std::string text_of(const StepExplanation& step) {
  return step.what + "  (" + step.by + (step.how.empty() ? "" : " " + step.how) + ")";
}

void write(std::ostream& text, const PlanExplanation& plan) {
  text << "plan for";
  for (const auto& input : plan.inputs) text << ' ' << text_of(input);
  text << ", " << plan.threads << (plan.threads == 1 ? " thread" : " threads")
       << (plan.dtype == "Float" ? "" : ", in " + plan.dtype) << '\n';
  for (const auto& [what, times] : plan.notes) text << what << ": " << times << '\n';
  for (const std::string& remark : plan.remarks) text << remark << '\n';
  text << "engine: " << plan.engine << (plan.cuda_graph ? ", as one CUDA graph" : "") << '\n';
  for (const StepExplanation& step : plan.steps) text << "  " << text_of(step) << '\n';
  if (plan.workspace_bytes + plan.scratchpad_bytes + plan.weight_bytes == 0) return;
  text << "memory: workspace " << size_text(plan.workspace_bytes)
       << " (buffers of their own: " << size_text(plan.separate_bytes) << "), scratchpad "
       << size_text(plan.scratchpad_bytes) << ", weights " << size_text(plan.weight_bytes) << '\n';
}

ordered_json json_of(const PlanExplanation& plan) {
  ordered_json inputs = ordered_json::array();
  for (const auto& input : plan.inputs) {
    inputs.push_back({{"sizes", input.sizes},
                      {"channels_last", input.channels_last},
                      {"dtype", input.dtype},
                      {"device", input.device}});
  }
  ordered_json steps = ordered_json::array();
  for (const StepExplanation& step : plan.steps) {
    steps.push_back({{"what", step.what},
                     {"by", step.by},
                     {"how", step.how},
                     {"fused", step.fused},
                     {"bytes", step.bytes},
                     {"macs", step.macs}});
  }
  return {{"inputs", inputs},
          {"threads", plan.threads},
          {"dtype", plan.dtype},
          {"engine", plan.engine},
          {"fell_back", plan.fell_back},
          {"cuda_graph", plan.cuda_graph},
          {"notes", plan.notes},
          {"remarks", plan.remarks},
          {"choices", plan.choices},
          {"steps", steps},
          {"memory",
           {{"workspace_bytes", plan.workspace_bytes},
            {"separate_bytes", plan.separate_bytes},
            {"scratchpad_bytes", plan.scratchpad_bytes},
            {"weight_bytes", plan.weight_bytes}}}};
}

}  // namespace

std::string Explanation::text() const {
  std::ostringstream text;
  for (const PlanExplanation& plan : plans) write(text, plan);
  return text.str();
}

std::string Explanation::json() const {
  ordered_json list = ordered_json::array();
  for (const PlanExplanation& plan : plans) list.push_back(json_of(plan));
  const ordered_json all = {{"plans", list}};
  return all.dump(2, ' ', false, ordered_json::error_handler_t::replace);
}

std::ostream& operator<<(std::ostream& stream, const Explanation& explanation) {
  return stream << explanation.text();
}

}  // namespace convkit
