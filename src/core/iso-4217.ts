/**
 * Currencies by their ISO 4217 codes, and how many digits each has behind the point of its main unit: its minor unit.
 *
 * One table for the whole program. Of the list of active codes (ISO 4217, list one): funds and metals, which have no minor
 * unit, are left out; codes that were withdrawn since 2020 are kept, for old events have them.
 */

const noDigits = 'BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF'

const twoDigits = `
  AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW CNY
  COP COU CRC CUC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HRK HTG HUF IDR ILS
  INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD
  NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SLL SOS SRD SSP STN SVC SYP
  SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG ZWL`

const threeDigits = 'BHD IQD JOD KWD LYD OMR TND'

const fourDigits = 'CLF UYW'

const digits = new Map<string, number>()
const add = (codes: string, count: number): void => {
  for (const code of codes.trim().split(/\s+/)) digits.set(code, count)
}
add(noDigits, 0)
add(twoDigits, 2)
add(threeDigits, 3)
add(fourDigits, 4)

/** Digits of a currency behind the point: 2 for EUR, 0 for JPY, 3 for KWD. Undefined for a code that is none. */
export function minorDigits(code: string): number | undefined {
  return digits.get(code)
}

/** All codes. */
export const currencyCodes: readonly string[] = [...digits.keys()].sort()
