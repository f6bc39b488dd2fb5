// GETs a small JSON object from an issuer, safely: no redirects, little time, few bytes, and only from addresses that
// the rule for the URL admits. The address that was judged is the one connected to, so a name cannot change in between.
import { lookup as resolve } from 'node:dns'
import { get as getHttp, type IncomingMessage } from 'node:http'
import { get as getHttps } from 'node:https'
import { isIP, type LookupFunction } from 'node:net'
import { type AddressRule, addressRule, hostOf } from './issuer.ts'

const withinMs = 5_000
const mostBytes = 512 * 1024

export type Fetched = { readonly json: Record<string, unknown>; readonly maxAgeSeconds: number | null }
export type FetchJson = (url: string) => Promise<Fetched>

/** @param internal origins that the operator lists */
export const createFetchJson = (internal: readonly string[]): FetchJson => {
  return async (url) => {
    const rule = addressRule(url, internal)
    if (rule === null) throw new Error('the URL may not be fetched')
    const host = hostOf(new URL(url))
    // An address is connected to without being looked up.
    if (isIP(host) !== 0 && !rule(host)) throw new Error('the address is not a public one')
    const response = await open(new URL(url), rule)
    const json: unknown = JSON.parse(await bodyOf(response))
    if (typeof json !== 'object' || json === null || Array.isArray(json))
      throw new Error('it is no JSON object')
    return { json: json as Record<string, unknown>, maxAgeSeconds: maxAgeOf(response) }
  }
}

function open(url: URL, rule: AddressRule): Promise<IncomingMessage> {
  return new Promise((done, fail) => {
    const get = url.protocol === 'https:' ? getHttps : getHttp
    const signal = AbortSignal.timeout(withinMs)
    const headers = { accept: 'application/json', 'user-agent': 'latchkey' }
    // A connection of its own: a pooled one was opened under another rule.
    const request = get(url, { agent: false, signal, headers, lookup: guardedLookup(rule) }, (response) => {
      if (response.statusCode === 200) return done(response)
      response.destroy()
      fail(new Error(`it answered ${response.statusCode}`))
    })
    request.on('error', fail)
  })
}

/** Every address of the name must do: with one of them inside, the name is meant to lead there. */
const guardedLookup =
  (rule: AddressRule): LookupFunction =>
  (hostname, options, callback) => {
    resolve(hostname, { ...options, all: true }, (error, addresses) => {
      if (error) return callback(error, '', 0)
      const refused = addresses.length === 0 || addresses.some(({ address }) => !rule(address))
      if (refused) return callback(new Error('the address is not a public one'), '', 0)
      if (options.all) return callback(null, addresses)
      callback(null, addresses[0]!.address, addresses[0]!.family)
    })
  }

async function bodyOf(response: IncomingMessage): Promise<string> {
  const parts: Buffer[] = []
  let bytes = 0
  for await (const part of response as AsyncIterable<Buffer>) {
    bytes += part.length
    if (bytes > mostBytes) throw new Error('it is too large')
    parts.push(part)
  }
  return Buffer.concat(parts).toString('utf8')
}

function maxAgeOf({ headers }: IncomingMessage): number | null {
  const seconds = /(?:^|[\s,])max-age=(\d{1,9})/i.exec(headers['cache-control'] ?? '')?.[1]
  return seconds === undefined ? null : Number(seconds)
}
