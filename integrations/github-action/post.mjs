// After the job, however it ended: its token is revoked. Whatever comes of it, the job's result stays what it was.
import { persist } from './persist.mjs'
import { revoke } from './revoke.mjs'
import { mask, say, state, warn } from './runner.mjs'

const token = state('token')
if (token !== '') {
  mask(token)
  try {
    const wasGood = await persist(() => revoke(state('url'), token))
    say(wasGood ? 'The token is revoked.' : 'The token was over already.')
  } catch (error) {
    warn(`The token could not be revoked: ${error.message} It ends by itself at ${state('expires-at')}.`)
  }
}
