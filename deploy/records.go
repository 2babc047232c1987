package deploy

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fluxcd/cli-utils/pkg/object"
)

// Status is how a release ended.
type Status string

// The statuses.
const (
	// Running is a release that goes on, or whose deploy was killed.
	Running Status = "running"
	// Succeeded is a release that is in the cluster as a whole.
	Succeeded Status = "succeeded"
	// Failed is one that was refused on the way, or never got ready.
	Failed Status = "failed"
	// Interrupted is one that was stopped, by a signal or a deadline.
	Interrupted Status = "interrupted"
)

// Record is one release of a layer, as it is kept in the cluster.
type Record struct {
	// Number counts the releases of the layer, from 1.
	Number int
	// Tree is the name of the Tree, which tells environments apart.
	Tree string
	// Revision is what was released: the tag of the images, or the words of
	// whoever released.
	Revision string
	// Images are the pins of the first-party images, by name.
	Images map[string]string
	// Run is the number of the pipeline run. Zero if there was none.
	Run int
	// By says who released.
	By string
	// Started and Ended are its times, to the second. Ended is zero while it
	// goes on.
	Started, Ended time.Time
	// Status says how it ended, Reason why where it did not succeed.
	Status Status
	Reason string
	// RollbackOf is the number of the release whose manifests these are. Zero
	// for a release of its own.
	RollbackOf int

	manifests []byte
}

// effective is the number of the release whose manifests these are.
func (r Record) effective() int { return cmp.Or(r.RollbackOf, r.Number) }

const (
	labelLayer = "fleet/layer"
	labelState = "fleet/state"
	keep       = 10 // releases
)

func (d *Deployer) labels() map[string]string {
	return map[string]string{"app.kubernetes.io/managed-by": "fleet", labelLayer: d.Layer}
}

func (d *Deployer) recordName(n int) string {
	return fmt.Sprintf("%s%s-release-%d", managerPrefix, d.Layer, n)
}

// records are the releases that are kept, oldest first.
func (d *Deployer) records(ctx context.Context, c *cluster) ([]Record, error) {
	list, err := c.typed.CoreV1().ConfigMaps(d.Namespace).List(ctx, metav1.ListOptions{LabelSelector: labelLayer + "=" + d.Layer + "," + labelState + "=release"})
	if err != nil {
		return nil, fmt.Errorf("the earlier releases cannot be read: %w", err)
	}
	var all []Record
	for i := range list.Items {
		r, err := decode(&list.Items[i])
		if err != nil {
			return nil, fmt.Errorf("ConfigMap %s/%s: %w: delete it if it is not wanted", d.Namespace, list.Items[i].Name, err)
		}
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b Record) int { return cmp.Compare(a.Number, b.Number) })
	return all, nil
}

func decode(m *corev1.ConfigMap) (Record, error) {
	r := Record{
		Tree:      m.Data["tree"],
		Revision:  m.Data["revision"],
		By:        m.Data["by"],
		Status:    Status(m.Data["status"]),
		Reason:    m.Data["reason"],
		Images:    map[string]string{},
		manifests: m.BinaryData["manifests.yaml.gz"],
	}
	var errs []error
	number := func(key string, into *int) {
		if v := m.Data[key]; v != "" {
			var err error
			*into, err = strconv.Atoi(v)
			errs = append(errs, err)
		}
	}
	moment := func(key string, into *time.Time) {
		if v := m.Data[key]; v != "" {
			var err error
			*into, err = time.Parse(time.RFC3339, v)
			errs = append(errs, err)
		}
	}
	number("number", &r.Number)
	number("run", &r.Run)
	number("rollbackOf", &r.RollbackOf)
	moment("started", &r.Started)
	moment("ended", &r.Ended)
	for line := range strings.Lines(m.Data["images"]) {
		if name, pin, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			r.Images[name] = pin
		}
	}
	if r.Number <= 0 || len(r.manifests) == 0 {
		errs = append(errs, errors.New("is no record of a release"))
	}
	return r, errors.Join(errs...)
}

func (d *Deployer) encode(r Record) *corev1.ConfigMap {
	data := map[string]string{
		"number":   strconv.Itoa(r.Number),
		"tree":     r.Tree,
		"revision": r.Revision,
		"by":       r.By,
		"started":  r.Started.UTC().Format(time.RFC3339),
		"status":   string(r.Status),
	}
	if !r.Ended.IsZero() {
		data["ended"] = r.Ended.UTC().Format(time.RFC3339)
	}
	if r.Reason != "" {
		data["reason"] = r.Reason
	}
	if r.Run > 0 {
		data["run"] = strconv.Itoa(r.Run)
	}
	if r.RollbackOf > 0 {
		data["rollbackOf"] = strconv.Itoa(r.RollbackOf)
	}
	var images strings.Builder
	for _, name := range slices.Sorted(maps.Keys(r.Images)) {
		images.WriteString(name + "=" + r.Images[name] + "\n")
	}
	data["images"] = images.String()
	labels := d.labels()
	labels[labelState] = "release"
	return &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: d.Namespace, Name: d.recordName(r.Number), Labels: labels},
		Data:       data,
		BinaryData: map[string][]byte{"manifests.yaml.gz": r.manifests},
	}
}

// save writes a record, new or changed.
func (d *Deployer) save(ctx context.Context, c *cluster, r Record) error {
	if err := write(ctx, c, d.encode(r)); err != nil {
		return fmt.Errorf("release %d cannot be recorded: %w", r.Number, err)
	}
	return nil
}

// write creates or replaces one of the layer's own ConfigMaps.
func write(ctx context.Context, c *cluster, m *corev1.ConfigMap) error {
	client := c.typed.CoreV1().ConfigMaps(m.Namespace)
	_, err := client.Update(ctx, m, metav1.UpdateOptions{FieldManager: c.manager})
	if apierrors.IsNotFound(err) {
		_, err = client.Create(ctx, m, metav1.CreateOptions{FieldManager: c.manager})
	}
	return err
}

// forget removes the oldest records beyond those that are kept. The last one
// that succeeded is never removed: it is the way back.
func (d *Deployer) forget(ctx context.Context, c *cluster, all []Record) error {
	good := lastGood(all)
	var errs []error
	for i := range max(0, len(all)-keep) {
		if good != nil && all[i].Number == good.Number {
			continue
		}
		err := c.typed.CoreV1().ConfigMaps(d.Namespace).Delete(ctx, d.recordName(all[i].Number), metav1.DeleteOptions{})
		if !apierrors.IsNotFound(err) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// lastGood is the last release that succeeded, nil where none did.
func lastGood(all []Record) *Record {
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].Status == Succeeded {
			return &all[i]
		}
	}
	return nil
}

// before is the release that a rollback goes to: where the last release
// failed, the one that was well before it; where it was well, the one before
// that with other manifests. Releases that were gone back from do not count any
// more, so two rollbacks in a row go two releases back. It is nil where there is none.
func before(all []Record) *Record {
	var well []*Record
	for i := range all {
		r := &all[i]
		if r.Status != Succeeded {
			continue
		}
		if r.RollbackOf > 0 {
			well = slices.DeleteFunc(well, func(w *Record) bool { return w.effective() >= r.RollbackOf })
		}
		well = append(well, r)
	}
	if n := len(all); n > 0 && all[n-1].Status == Succeeded {
		well = slices.DeleteFunc(well, func(w *Record) bool { return bytes.Equal(w.manifests, all[n-1].manifests) })
	}
	if len(well) == 0 {
		return nil
	}
	return well[len(well)-1]
}

func compress(text []byte) ([]byte, error) {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(text); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	// The server's own limit for a ConfigMap, less some room for the rest.
	if most := corev1.MaxSecretSize - 16<<10; b.Len() > most {
		return nil, fmt.Errorf("the manifests are %d bytes compressed, and a release that is kept has %d at most: divide the layer", b.Len(), most)
	}
	return b.Bytes(), nil
}

func decompress(data []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

// inventory is what releases of the layer applied, and the UID of each object
// as it was applied: an object of that name that somebody made anew is not
// ours to remove. The form is that of cli-utils, "Inventory".
type inventory struct {
	tree    string
	objects map[object.ObjMetadata]types.UID
}

func (d *Deployer) inventoryName() string { return managerPrefix + d.Layer + "-inventory" }

func (d *Deployer) loadInventory(ctx context.Context, c *cluster) (inventory, error) {
	inv := inventory{objects: map[object.ObjMetadata]types.UID{}}
	m, err := c.typed.CoreV1().ConfigMaps(d.Namespace).Get(ctx, d.inventoryName(), metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return inv, nil
	case err != nil:
		return inv, fmt.Errorf("the inventory cannot be read: %w", err)
	}
	inv.tree = m.Annotations["fleet/tree"]
	for key, uid := range m.Data {
		id, err := object.ParseObjMetadata(key)
		if err != nil {
			return inv, fmt.Errorf("ConfigMap %s/%s: %q names no object: %w", d.Namespace, m.Name, key, err)
		}
		inv.objects[id] = types.UID(uid)
	}
	return inv, nil
}

func (d *Deployer) saveInventory(ctx context.Context, c *cluster, inv inventory) error {
	labels := d.labels()
	labels[labelState] = "inventory"
	m := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: d.Namespace, Name: d.inventoryName(), Labels: labels,
			Annotations: map[string]string{"fleet/tree": inv.tree},
		},
		Data: map[string]string{},
	}
	for id, uid := range inv.objects {
		m.Data[id.String()] = string(uid)
	}
	if err := write(ctx, c, m); err != nil {
		return fmt.Errorf("the inventory cannot be written: %w", err)
	}
	return nil
}
