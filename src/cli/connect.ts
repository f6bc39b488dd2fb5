// Whoever is asked over HTTP: Latchkey, and what a CI provider has for its jobs.
import { type Client, type ClientOptions, createClient } from '@latchkey/sdk/client'
import { version } from '../version.ts'
import { lightFetch } from './light-fetch.ts'

/** @throws TypeError that names the option that is wrong, not its value */
export function connect(options: Pick<ClientOptions, 'url' | 'token' | 'timeoutMs'>): Client {
  return createClient({ ...options, userAgent: `latchkey-cli/${version}`, fetch: lightFetch })
}
