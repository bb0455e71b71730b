"""What projects say of themselves; shown beside what was measured, and alone where that cannot be measured."""

from typing import Final

PUBLISHED: Final = {
    "KEDA HTTP add-on": "3.35 s before 0.12, 1 to 1.5 s expected: github.com/kedacore/http-add-on/issues/1385",
    "KubeAI": "no time; its autoscaler looks every 10 s: charts/kubeai/values.yaml in substratusai/kubeai",
    "Knative": "25 s allowed for 100 at once: test/performance/benchmarks/scale-from-zero in knative/serving",
}
