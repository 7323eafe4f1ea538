"""What the Python package lifetimes says of CDNOW: fits, and expectations of every customer.

usage: python oracle.py CDNOW_MASTER_TXT OUTPUT_JSON
"""
import json
import sys
import warnings

warnings.filterwarnings("ignore")

import pandas as pd
from lifetimes import BetaGeoFitter, GammaGammaFitter
from lifetimes.datasets import load_cdnow_summary_data_with_monetary_value
from lifetimes.utils import summary_data_from_transaction_data


def fits(summary, penalizer_of_purchases=0.0, penalizer_of_spend=0.0):
    purchases = BetaGeoFitter(penalizer_coef=penalizer_of_purchases)
    purchases.fit(summary.frequency, summary.recency, summary["T"])
    again = summary[(summary.frequency > 0) & (summary.monetary_value > 0)]
    spend = GammaGammaFitter(penalizer_coef=penalizer_of_spend)
    spend.fit(again.frequency, again.monetary_value)
    return purchases, spend


def told(model):
    return {
        "params": dict(model.params_),
        "standardErrors": dict(model.standard_errors_),
        "meanNegativeLogLikelihood": float(model._negative_log_likelihood_),
    }


def columns(summary):
    return {
        "frequency": summary.frequency.tolist(),
        "recency": summary.recency.tolist(),
        "age": summary["T"].tolist(),
        "monetaryValue": summary.monetary_value.tolist(),
    }


path, output = sys.argv[1:]
rows = pd.read_csv(path, sep=r"\s+", skiprows=1, names=["id", "date", "cds", "dollars"], dtype={"id": str})
rows["date"] = pd.to_datetime(rows["date"], format="%Y%m%d")
summary = summary_data_from_transaction_data(
    rows, "id", "date", monetary_value_col="dollars", observation_period_end="1998-06-30"
)
purchases, spend = fits(summary)
purchases_penalized, spend_penalized = fits(summary, 0.01, 0.001)
x, recency, age = summary.frequency, summary.recency, summary["T"]
result = {
    "transactions": len(rows),
    "dollars": float(rows.dollars.sum()),
    "customers": {"id": summary.index.tolist(), **columns(summary)},
    "purchases": told(purchases),
    "spend": told(spend),
    "purchasesPenalized": told(purchases_penalized),
    "spendPenalized": told(spend_penalized),
    "probabilityAlive": purchases.conditional_probability_alive(x, recency, age).tolist(),
    "purchases30": purchases.predict(30, x, recency, age).tolist(),
    "purchases365": purchases.predict(365, x, recency, age).tolist(),
    "purchasesOfNew90": float(purchases.expected_number_of_purchases_up_to_time(90)),
    "amount": spend.conditional_expected_average_profit(x, summary.monetary_value).tolist(),
    "value12Months": spend.customer_lifetime_value(
        purchases, x, recency, age, summary.monetary_value, time=12, discount_rate=0.01, freq="D"
    ).tolist(),
}
# The sample of 2,357 customers of the papers: 39 weeks, time in weeks.
sample = load_cdnow_summary_data_with_monetary_value()
sample_purchases, sample_spend = fits(sample)
result["sample"] = {"customers": columns(sample), "purchases": told(sample_purchases), "spend": told(sample_spend)}
with open(output, "w") as file:
    json.dump(result, file)
