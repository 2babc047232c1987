import type { H3Event } from 'h3'
import { decryptToken } from 'nuxt-oidc-auth/runtime/server/utils/security.js'
import { getUserSessionId } from 'nuxt-oidc-auth/runtime/server/utils/session.js'

// storedToken is a token of the user's session. It is read from the store, so
// that no page ever has it.
export async function storedToken(event: H3Event, name: 'accessToken' | 'refreshToken') {
  const session = await useStorage('oidc').getItem<Record<string, never>>(await getUserSessionId(event))
  if (!session?.[name]) {
    throw createError({ statusCode: 401 })
  }
  return decryptToken(session[name], process.env.NUXT_OIDC_TOKEN_KEY!)
}
