import { getUserSession } from 'nuxt-oidc-auth/runtime/server/utils/session.js'

// The module guards pages only. /api is guarded here, without what the probes
// and the module itself call.
export default defineEventHandler(async (event) => {
  if (event.path.startsWith('/api/health/') || event.path.startsWith('/_nuxt/')) {
    return
  }
  const guarded = event.path.startsWith('/api/') && !event.path.startsWith('/api/_auth/')
  if (getCookie(event, 'nuxt-oidc-auth')) {
    const failure = await refreshOnce(event)
    if (guarded && failure) {
      throw failure // the module sends pages to the login
    }
  }
  if (guarded) {
    event.context.user = await getUserSession(event)
  }
})
