// The step: the job's identity → a token, which is masked before anything else is done with it.
import { exchange } from './exchange.mjs'
import { identity } from './identity.mjs'
import { durationSeconds, serverUrl, words } from './inputs.mjs'
import { persist } from './persist.mjs'
import { fail, input, mask, output, save, say } from './runner.mjs'

try {
  const url = serverUrl(input('url'))
  const audience = input('audience') || url
  const asked = {
    scopes: words(input('scopes')),
    services: words(input('services')),
    seconds: durationSeconds(input('ttl')),
  }
  const granted = await persist(async () => {
    // A JWT is exchanged once, and whether an attempt that failed has used it up is not known: each has a new one.
    const jwt = await identity(audience)
    mask(jwt)
    return exchange(url, jwt, asked)
  })
  mask(granted.token)
  save('url', url)
  save('token', granted.token)
  save('expires-at', granted.expiresAt)
  output('token', granted.token)
  output('expires-at', granted.expiresAt)
  output('scopes', granted.scopes)
  say(`A token with ${granted.scopes}, good until ${granted.expiresAt} or the end of the job.`)
} catch (error) {
  fail(error.message)
}
