// Checks of what needs nothing but itself: Node.js, the settings, and what they say of the proxies in front.
import type { Config } from '../../config.ts'
import { nodeNeeded } from '../../version.ts'
import { type Check, fail, ok, warn } from './check.ts'

export function checkNode(present = process.versions.node): Check {
  const [needed, has] = [nodeNeeded, present].map((text) => text.match(/\d+/g)!.map(Number))
  const [major = 0, minor = 0] = needed!
  const isEnough = has![0]! > major || (has![0] === major && has![1]! >= minor)
  if (isEnough) return ok('node', `Node.js ${present}.`)
  return fail('node', `This is Node.js ${present}; Latchkey needs ${nodeNeeded}.`, 'Install a newer one.')
}

const seeSettings = 'See docs/operate/settings.md.'

/** @returns the settings, unless there is something wrong with them: a line each */
export async function checkSettings(): Promise<{ checks: Check[]; config: Config | null }> {
  const { ConfigError, readConfig, unknownSettings } = await import('../../config.ts')
  try {
    const config = readConfig()
    const store = config.databaseUrl === null ? 'the embedded store' : 'PostgreSQL'
    const unknown = unknownSettings().map((one) => warn('settings', `${one}.`, seeSettings))
    return { checks: [ok('settings', `All can be read; the store is ${store}.`), ...unknown], config }
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    const checks = error.problems.map((problem) => fail('settings', `${problem}.`, seeSettings))
    return { checks, config: null }
  }
}

export function checkIssuer({ issuer, databaseUrl, port }: Config): Check {
  if (issuer !== null) return ok('issuer', `Clients reach it at ${issuer}.`)
  const message = `LATCHKEY_ISSUER is not set: answers and links say http://localhost:${port || '<port>'}.`
  if (databaseUrl === null) return ok('issuer', message)
  return warn('issuer', message, 'Set it to the public address.')
}

/** Latchkey speaks plain http, so with https there is somebody in front. */
export function checkProxies({ issuer, trustedProxies }: Config): Check {
  const count = trustedProxies.length
  if (count > 0)
    return ok(
      'proxies',
      `X-Forwarded-* counts from ${count} address${count > 1 ? 'es or ranges' : ' or range'}.`,
    )
  if (!issuer?.startsWith('https:')) return ok('proxies', 'X-Forwarded-* counts from nobody.')
  return warn(
    'proxies',
    'LATCHKEY_ISSUER is https, so a proxy is in front, and none is trusted: all requests seem to come from it, and tokens with an IP restriction are refused.',
    'Name its address in LATCHKEY_TRUSTED_PROXIES.',
  )
}
